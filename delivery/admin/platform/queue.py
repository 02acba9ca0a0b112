"""The background queue for operators: what waits, what ran, what failed and what recurs. Nothing
can be run, retried or changed here: recurring jobs stand in pushpilot/schedules.py, and a lost
task is found by the sweep."""

from __future__ import annotations

import base64
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db.models import F, QuerySet, TextField
from django.db.models.functions import Cast
from django.http import HttpRequest
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django_q import core_signing
from django_q.conf import Conf
from django_q.models import Failure, OrmQ, Schedule, Success
from unfold.decorators import display

from delivery.admin.platform.workers import WorkersPage
from delivery.models import Heartbeat
from pushpilot.lib.display import Labelled, format_number, how_long
from pushpilot.lib.pickles import read_plain
from tenants.admin.platform.base import PlatformAdmin, ago

NO_CAUSE = gettext_lazy("No cause was recorded.")
UNREADABLE = gettext_lazy("The stored data cannot be read: it holds more than plain values.")


class _Plain:
    """django-q2's serializer without its danger."""

    def loads(self, data: bytes) -> object:
        return read_plain(data)


def payload_of(queued: OrmQ) -> dict[str, Any]:
    """The waiting task; {} if it is not signed with our key or holds more than plain values."""
    try:
        found = core_signing.loads(
            queued.payload, key=Conf.SECRET_KEY, salt=Conf.PREFIX, serializer=_Plain
        )
    except (core_signing.BadSignature, ValueError):
        return {}
    if isinstance(found, dict):
        return found
    return {}


def stored(raw: str | None) -> str:
    """The text of a task's result as django-q2 stores it: base64 of a pickle."""
    if not raw:
        return ""
    try:
        found = read_plain(base64.b64decode(raw))
    except ValueError:
        return str(UNREADABLE)
    if found is None:
        return ""
    return str(found)


def bell(func: object) -> str:
    """ "Tick" for the function that settings.BELLS calls so; a name of its own otherwise."""
    names = {path: name for name, path in settings.BELLS.items()}
    path = str(func)
    return names.get(path, path.rpartition(".")[2].replace("_", " ")).capitalize()


def _header(func: object) -> list[str]:
    """What Unfold draws as a header: the title, the line below it and the initial."""
    return [bell(func), str(func), bell(func)[:1]]


class QueuePage(PlatformAdmin):
    sortable_by = ()

    @display(description=gettext_lazy("Task"), header=True)
    def task_header(self, row: Any) -> list[str]:
        return _header(row.func)


class WaitingPage(QueuePage):
    list_title = gettext_lazy("Waiting tasks")
    list_display = ("payload_header", "state", "since")
    fields = readonly_fields = ("function", "state", "since", "arguments")
    ordering = ("pk",)
    empty_title = gettext_lazy("No task waits")
    empty_text = gettext_lazy("Workers took every task at once.")
    empty_icon = "done_all"

    @display(description=gettext_lazy("Task"), header=True)
    def payload_header(self, row: OrmQ) -> list[str]:
        task = payload_of(row)
        if not task:
            why = _("Not signed with the key of this installation, or more than plain values")
            return [_("Unreadable"), why, "?"]
        return _header(task.get("func"))

    @display(description=gettext_lazy("State"), label={"waiting": "warning", "locked": "info"})
    def state(self, row: OrmQ) -> Labelled:
        if row.lock and row.lock > timezone.now():
            return Labelled("locked", _("In progress or planned"))
        return Labelled("waiting", _("Waiting"))

    @display(description=gettext_lazy("Since"))
    def since(self, row: OrmQ) -> str:
        return ago(payload_of(row).get("started"))

    @display(description=gettext_lazy("Function"))
    def function(self, row: OrmQ) -> str:
        return str(payload_of(row).get("func") or UNREADABLE)

    @display(description=gettext_lazy("Arguments"))
    def arguments(self, row: OrmQ) -> str:
        return ", ".join(map(repr, payload_of(row).get("args", ()))) or "–"


class _TaskPage(QueuePage):
    """Rows of finished tasks. Their pickles are never loaded: `result` comes as the text that it
    is in the database."""

    ordering = ("-stopped",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows: QuerySet[Any] = super().get_queryset(request).defer("args", "kwargs", "result")
        with_text: QuerySet[Any] = rows.annotate(raw_result=Cast(F("result"), TextField()))
        return with_text

    @display(description=gettext_lazy("Ended"))
    def ended(self, row: Any) -> str:
        return ago(row.stopped)

    @display(description=gettext_lazy("Took"))
    def took(self, row: Any) -> str:
        secs = row.time_taken()
        if secs < 1:
            return _("%(milliseconds)s ms") % {"milliseconds": format_number(round(secs * 1000))}
        return how_long(row.stopped - row.started)


class FinishedPage(_TaskPage):
    list_title = gettext_lazy("Finished tasks")
    list_display = ("task_header", "ended", "took")
    fields = readonly_fields = ("func", "ended", "took", "attempt_count")
    empty_title = gettext_lazy("No task has finished yet")
    empty_text = gettext_lazy(
        "Recurring jobs appear here after their first run. Bells are not kept, because there are "
        "thousands."
    )
    empty_icon = "task_alt"


class FailedPage(_TaskPage):
    list_title = gettext_lazy("Failed tasks")
    list_display = ("task_header", "cause", "ended")
    fields = readonly_fields = ("func", "ended", "took", "attempt_count", "whole_error")
    empty_title = gettext_lazy("No task has failed")
    empty_text = gettext_lazy(
        "A task that fails leaves its error here for 30 days. The sweep takes up its work again."
    )
    empty_icon = "verified"

    @display(description=gettext_lazy("Cause"))
    def cause(self, row: Any) -> str:
        # the message, then the traceback that ends with it
        lines = stored(row.raw_result).strip().splitlines()
        if lines:
            return lines[-1][:120]
        return str(NO_CAUSE)

    @display(description=gettext_lazy("Error"))
    def whole_error(self, row: Any) -> SafeString:
        return format_html('<pre class="pp-json">{}</pre>', stored(row.raw_result) or NO_CAUSE)


class SchedulePage(QueuePage):
    list_title = gettext_lazy("Recurring jobs")
    list_display = ("job_header", "every", "next_time")
    fields = readonly_fields = ("name", "func", "every", "next_time")
    ordering = ("name",)
    empty_title = gettext_lazy("No recurring job yet")
    empty_text = gettext_lazy("A worker creates the recurring jobs when it starts.")
    empty_icon = "event_repeat"

    @display(description=gettext_lazy("Job"), header=True)
    def job_header(self, row: Schedule) -> list[str]:
        name = str(row.name or row.func).capitalize()
        return [name, row.func, name[:1]]

    @display(description=gettext_lazy("Every"))
    def every(self, row: Schedule) -> str:
        if row.schedule_type != Schedule.MINUTES or not row.minutes:
            return str(row.get_schedule_type_display())
        return how_long(timedelta(minutes=row.minutes))

    @display(description=gettext_lazy("Next"))
    def next_time(self, row: Schedule) -> str:
        if row.next_run:
            return ago(row.next_run)
        return "–"


PLATFORM_PAGES: dict[Any, type[PlatformAdmin]] = {
    OrmQ: WaitingPage,
    Success: FinishedPage,
    Failure: FailedPage,
    Schedule: SchedulePage,
    Heartbeat: WorkersPage,
}
