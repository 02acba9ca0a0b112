"""A user's sessions, of browsers and of the API: ending them, and the page on which their owner
does."""

from __future__ import annotations

from typing import Any

from allauth.usersessions.forms import ManageUserSessionsForm
from allauth.usersessions.internal import flows
from allauth.usersessions.models import UserSession
from allauth.usersessions.views import ListUserSessionsView
from django import forms
from django.http import HttpRequest
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from tenants import audit
from tenants.models import User
from tenants.scope import scope


def end(session_key: str) -> None:
    """The session and all tokens that were made of it are refused from now on."""
    for session in UserSession.objects.filter(session_key=session_key):
        session.end()


def end_stolen(session: UserSession) -> None:
    """End a session of the API whose refresh token is in two hands, and say so in the person's
    workspaces."""
    user: User = session.user
    session.end()
    for workspace in user.workspaces():
        with scope(workspace):
            detail = {"why": "an old refresh token was used again", "address": session.ip}
            audit.record(workspace, "session ended", user, by=None, detail=detail)


# The first that fits counts: each of these browsers also carries the names of those below it.
BROWSERS = (
    ("Edg", "Edge"),
    ("OPR/", "Opera"),
    ("SamsungBrowser", "Samsung Internet"),
    ("Firefox/", "Firefox"),
    ("FxiOS", "Firefox"),
    ("CriOS", "Chrome"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
)
SYSTEMS = (
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Android", "Android"),
    ("Windows", "Windows"),
    ("CrOS", "ChromeOS"),
    ("Mac OS X", "Mac"),
    ("Linux", "Linux"),
)
HANDHELD = ("iPhone", "iPad", "Android")


def device(user_agent: str) -> str:
    """What a person calls it, e.g. "Chrome on Windows"; what says nothing that we know is shown
    as it is, cut."""
    browser = next((name for mark, name in BROWSERS if mark in user_agent), "")
    system = next((name for mark, name in SYSTEMS if mark in user_agent), "")
    unknown = _("Unknown browser")
    if system:
        return _("%(browser)s on %(system)s") % {"browser": browser or unknown, "system": system}
    return browser or user_agent[:60] or unknown


class EndSessionsForm(ManageUserSessionsForm):
    """Ends the chosen session; without a choice all but this one."""

    session = forms.ModelChoiceField(
        UserSession.objects.none(),
        required=False,
        error_messages={"invalid_choice": gettext_lazy("This session has already ended.")},
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        chosen: Any = self.fields["session"]
        chosen.queryset = UserSession.objects.filter(user=self.request.user)

    def save(self, request: HttpRequest) -> None:
        chosen = self.cleaned_data["session"]
        if chosen is None:
            super().save(request)
        else:
            flows.sessions.end_sessions(request, [chosen])


class SessionsView(ListUserSessionsView):
    form_class = EndSessionsForm

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        context: dict[str, Any] = super().get_context_data(**kwargs)
        for session in context["sessions"]:
            session.device = device(session.user_agent)
            session.is_handheld = any(mark in session.user_agent for mark in HANDHELD)
        context["sessions"].sort(
            key=lambda session: (not session.is_current(), -session.created_at.timestamp())
        )
        return context
