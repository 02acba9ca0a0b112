"""The connections of a workspace: add, test, switch, replace credentials. The private key is
never shown again."""

from __future__ import annotations

from typing import Any, ClassVar

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_POST
from unfold.decorators import display
from unfold.widgets import UnfoldAdminIntegerFieldWidget

from campaigns.channels.registry import CHANNELS, DEFAULT, channel_of
from delivery import connections
from delivery.admin import trials
from delivery.admin.run import held_platforms
from delivery.providers.base import CredentialsForm, Provider, Sandbox
from delivery.providers.registry import PROVIDERS, provider_of, sandboxes
from pushpilot.lib.display import ago, format_number, listed
from tenants import roles
from tenants.admin.base import WorkspaceAdmin, require, workspace_of
from tenants.models import SANDBOX, Connection, User
from tenants.secrets import SecretUnreadable

MASK = "••••"


class ConnectionForm(forms.ModelForm):
    """Name and pace; `form_for` adds the provider's own fields. `cleaned_data["secret"]`: new
    credentials, or ""."""

    provider: ClassVar[Provider[Any]]

    per_second = forms.IntegerField(
        label=gettext_lazy("Messages per second"),
        min_value=1,
        max_value=connections.PER_SECOND_MOST,
        widget=UnfoldAdminIntegerFieldWidget(),
        help_text=gettext_lazy("The limit for all campaigns together."),
    )

    class Meta:
        model = Connection
        fields = connections.FIELDS
        labels = {"name": gettext_lazy("Name")}

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        cleaned["secret"] = ""
        if not self.errors and isinstance(self, CredentialsForm):
            try:
                cleaned["secret"] = self._secret(self)
            except ValueError as error:
                first = next(iter(self.provider.credentials_form.base_fields))
                self.add_error(self.secret_field() or first, str(error))
        return cleaned

    def _secret(self, credentials: CredentialsForm) -> str:
        """The new credentials, checked; "" if none were given for a connection that has some.
        Raises ValueError."""
        secret = credentials.secret()
        if secret:
            self.provider.read(secret)
        elif self.instance.pk is None:
            raise ValueError(credentials.nothing)
        return secret


def form_for(provider: Provider[Any]) -> type[ConnectionForm]:
    """The sandbox makes its own keys; there is nothing to enter."""
    bases: tuple[type, ...] = (ConnectionForm,)
    if not isinstance(provider, Sandbox):
        bases = (ConnectionForm, provider.credentials_form)
    return type("ConnectionForm", bases, {"provider": provider})


class ConnectionAdmin(WorkspaceAdmin):
    form = ConnectionForm
    list_display = ("title", "status", "credentials_column", "last_check")
    list_display_links = ("title",)
    ordering = ("-is_active", "name")
    show_add_link = True
    warn_unsaved_form = True
    empty_title = gettext_lazy("No provider connected")
    empty_text = gettext_lazy(
        "Connect the sandbox to try everything, or a provider to reach people."
    )
    empty_icon = "cable"
    change_form_outer_before_template = "delivery/connection_head.html"

    class Media:
        css = {"all": ("delivery/connections.css",)}

    # --- the list ---------------------------------------------------------------------------------
    @display(description=gettext_lazy("Connection"), header=True)
    def title(self, connection: Connection) -> list[str]:
        provider = provider_of(connection.provider)
        return [connection.name, str(provider.label), provider.mark]

    @display(description=gettext_lazy("Used"), label={"on": "success", "off": "default"})
    def status(self, connection: Connection) -> tuple[str, str]:
        if connection.is_active:
            return ("on", _("In use"))
        return ("off", _("Off"))

    @display(description=gettext_lazy("Credentials"))
    def credentials_column(self, connection: Connection) -> SafeString:
        told = provider_of(connection.provider).describe(connection.settings)
        first, *others = [f"{label}: {value}" for label, value in [*told, (_("Key"), MASK)]]
        return format_html(
            '<span class="connection-two">{}<small>{}</small></span>', first, " · ".join(others)
        )

    @display(description=gettext_lazy("Last test"))
    def last_check(self, connection: Connection) -> SafeString:
        return check_chip(connection)

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        return {}

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        provider = self._provider(request)
        return {"name": str(provider.label), "per_second": provider.manners.per_second}

    def get_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        form = form_for(self._provider(request, obj))
        return (
            "name",
            *(name for name in form.base_fields if name not in ("name", "per_second")),
            "per_second",
        )

    def get_form(
        self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any
    ) -> Any:
        return super().get_form(
            request, obj, change, **{"form": form_for(self._provider(request, obj)), **kwargs}
        )

    @staticmethod
    def _provider(request: HttpRequest, connection: Connection | None = None) -> Provider[Any]:
        """That of the connection; of a new one the first that `?provider=` names, else the first
        that is no sandbox."""
        if connection is not None:
            return provider_of(connection.provider)
        offered = _offered()
        return offered.get(request.GET.get("provider", "")) or next(iter(offered.values()))

    # --- the forms --------------------------------------------------------------------------------
    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: Any = None,
    ) -> Any:
        context: dict[str, Any] = {}
        connection = None
        if object_id is None:
            context["title"] = _("Connect a provider")
        else:
            connection = self.get_object(request, object_id)
        if connection is not None:
            context["head"] = head(connection)
        secret = self._provider(request, connection).credentials_form.base_fields
        view = sensitive_post_parameters(*secret)(super().changeform_view)
        response = view(request, object_id, form_url, {**context, **(extra_context or {})})
        # The admin's transaction is over: no lock is held while the provider answers.
        self._try_out(request, *getattr(request, "_saved", ()))
        return response

    def save_model(self, request: HttpRequest, obj: Connection, form: Any, change: bool) -> None:
        """Save what needs no test; `_try_out` does the rest."""
        obj.workspace = workspace_of(request)
        secret, by = form.cleaned_data["secret"], _person(request)
        if change:
            values = {name: getattr(obj, name) for name in connections.FIELDS}
            connections.change_fields(obj, values, by=by)
        else:
            provider = self._provider(request)
            obj.provider, obj.service = provider.key, provider.service
            connections.create(obj, secret, by=by)
        if secret:
            request._saved = (obj, secret, change)  # type: ignore[attr-defined]

    def log_addition(self, request: HttpRequest, obj: Any, message: Any) -> None:
        """Nothing: the verb has written the trail."""

    def log_change(self, request: HttpRequest, obj: Any, message: Any) -> None:
        """Nothing: the verb has written the trail."""

    def _try_out(
        self,
        request: HttpRequest,
        obj: Connection | None = None,
        secret: str = "",
        change: bool = False,
    ) -> None:
        """Test the credentials that were just given; only what works is used."""
        if obj is None:
            return
        if not change:
            self._use(request, obj)
            return
        was_in_use = obj.is_active
        result = connections.replace_credentials(obj, secret, by=_person(request))
        about = {"connection": obj, "answer": result.message}
        if result.ok:
            words = _("The new credentials of “%(connection)s” work.")
            messages.success(request, words % about)
        elif was_in_use:
            words = _(
                "The new credentials were not saved. “%(connection)s” keeps its former "
                "credentials. %(answer)s"
            )
            messages.error(request, words % about)
        else:
            words = _(
                "The new credentials of “%(connection)s” are saved, but their test failed. "
                "%(answer)s"
            )
            messages.error(request, words % about)

    def _use(self, request: HttpRequest, connection: Connection) -> None:
        result, paused = connections.put_in_use(connection, by=_person(request))
        if result.ok:
            words = _("“%(connection)s” works and is now in use.")
            messages.success(request, words % {"connection": connection})
        else:
            others = Connection.objects.filter(
                workspace=connection.workspace, is_active=True
            ).exclude(pk=connection.pk)
            in_use = others.filter(service=connection.service).first()
            about = {"connection": connection, "answer": result.message, "in_use": in_use}
            words = _("The test of “%(connection)s” failed, so it is not in use. %(answer)s")
            if in_use:
                words = _(
                    "The test of “%(connection)s” failed, so “%(in_use)s” stays in use. %(answer)s"
                )
            messages.error(request, words % about)
        self._tell_paused(request, paused)

    @staticmethod
    def _tell_paused(request: HttpRequest, paused: int) -> None:
        if paused:
            words = ngettext(
                "%(count)s send is paused. Resume it on its own page.",
                "%(count)s sends are paused. Resume each on its own page.",
                paused,
            )
            messages.warning(request, words % {"count": format_number(paused)})

    def response_add(
        self, request: HttpRequest, obj: Connection, post_url_continue: str | None = None
    ) -> HttpResponse:
        return redirect(self._page(obj))

    def response_change(self, request: HttpRequest, obj: Connection) -> HttpResponse:
        words = _("Your changes to “%(connection)s” are saved.")
        messages.success(request, words % {"connection": obj})
        return redirect(self._page(obj))

    def delete_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> Any:
        connection = self.get_object(request, object_id)
        count = 0
        if connection:
            count = connections.sends_that_need(connection)
        if count:
            words = ngettext(
                "%(count)s send still needs this connection. Finish or cancel the send first.",
                "%(count)s sends still need this connection. Finish or cancel the sends first.",
                count,
            )
            messages.error(request, words % {"count": format_number(count)})
            return redirect("admin:tenants_connection_change", object_id)
        return super().delete_view(request, object_id, extra_context)

    # --- the buttons ------------------------------------------------------------------------------
    def get_urls(self) -> list[Any]:
        def post(view: Any) -> Any:
            return self.admin_site.admin_view(require_POST(view))

        own = [
            path("connect-sandbox/", post(self.connect_sandbox), name="connect_sandbox"),
            path("<int:pk>/test/", post(self.test), name="tenants_connection_test"),
            path("<int:pk>/send-test/", post(self.send_test), name="tenants_connection_send_test"),
            path("<int:pk>/switch/", post(self.switch), name="tenants_connection_switch"),
        ]
        return [*own, *super().get_urls()]

    def connect_sandbox(self, request: HttpRequest) -> HttpResponse:
        workspace = require(request, roles.CONNECTIONS)
        service = request.POST.get("service", channel_of(DEFAULT).service)
        try:
            connection = connections.connect_sandbox(
                workspace, by=_person(request), service=service
            )
        except (connections.SandboxUnreachable, ValueError) as error:
            messages.error(request, str(error))
            return redirect("admin:tenants_connection_changelist")
        messages.success(
            request,
            _("The sandbox is connected. Campaigns go to the sandbox and reach no real phone."),
        )
        return redirect(self._page(connection))

    def test(self, request: HttpRequest, pk: int) -> HttpResponse:
        connection = self._own(request, pk)
        result = connections.test_connection(connection, by=_person(request))
        (messages.success if result.ok else messages.error)(request, result.message)
        return redirect(self._page(connection))

    def send_test(self, request: HttpRequest, pk: int) -> HttpResponse:
        connection = self._own(request, pk)
        trials.send_greeting(request, connection)
        return redirect(self._page(connection))

    def switch(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Test the connection and use it from now on, or stop using it. A planned run takes the
        one in use when it starts."""
        connection = self._own(request, pk)
        if "on" in request.POST:
            self._use(request, connection)
        else:
            paused = connections.switch_off(connection, by=_person(request))
            labels = [one.label for one in CHANNELS.values() if one.service == connection.service]
            channels = listed(labels) or connection.service
            words = _(
                "“%(connection)s” is off. %(channels)s cannot send until a connection is in use."
            )
            messages.warning(request, words % {"connection": connection, "channels": channels})
            self._tell_paused(request, paused)
        return redirect(self._page(connection))

    def _own(self, request: HttpRequest, pk: int) -> Connection:
        require(request, roles.CONNECTIONS)
        found: Connection = get_object_or_404(self.get_queryset(request), pk=pk)
        return found

    @staticmethod
    def _page(connection: Connection) -> str:
        return reverse("admin:tenants_connection_change", args=[connection.pk])

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> Any:
        own = Connection.objects.filter(workspace=workspace_of(request)).defer("sealed")
        in_use = {connection.service: connection for connection in own.filter(is_active=True)}
        has_sandbox = set(own.filter(provider__endswith=SANDBOX).values_list("service", flat=True))
        provider = self._provider(request)
        offer = {
            "sandboxes": [
                (one, in_use.get(one.service))
                for one in sandboxes()
                if one.service not in has_sandbox
            ],
            "in_use": in_use.get(provider.service),
            "provider": provider,
            "others": [one for one in _offered().values() if one is not provider],
        }
        response: TemplateResponse = super().add_view(
            request, form_url, {**offer, **(extra_context or {})}
        )
        return response


def _person(request: HttpRequest) -> User:
    assert isinstance(request.user, User)
    return request.user


def _offered() -> dict[str, Provider[Any]]:
    """The providers to choose from. A sandbox makes its own keys, so it has a button instead."""
    return {key: one for key, one in PROVIDERS.items() if not isinstance(one, Sandbox)}


def head(connection: Connection) -> dict[str, Any]:
    """What the page shows of a stored account: never more than whose key it is and its id's last
    four characters."""
    provider = provider_of(connection.provider)
    problem, tail = "", ""
    try:
        tail = provider.key_id(connections.account_of(connection))[-4:]
    except (SecretUnreadable, ValueError) as error:
        problem = str(error)
    return {
        "connection": connection,
        "provider": provider,
        "settings": provider.describe(connection.settings),
        "problem": problem,
        "key": f"{MASK}{tail}",
        "chip": check_chip(connection),
        "channels": trials.channels(connection),
        "held": held_platforms.of_connection(connection),
    }


def check_chip(connection: Connection) -> SafeString:
    """ "Works, 3 minutes ago", "Failed, 2 hours ago" or "Not tested yet"."""
    if connection.checked_at is None:
        return format_html('<span class="connection-check">{}</span>', _("Not tested yet"))
    word, tone = (_("Works"), "ok") if connection.check_ok else (_("Failed"), "bad")
    when = ago(connection.checked_at, timezone.now())
    return format_html(
        '<span class="connection-check is-{}">{}<small>{}</small></span>', tone, word, when
    )
