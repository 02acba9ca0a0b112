"""Identity verification in the console: its secret is made, rotated and shown once."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django import forms
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from tenants import identity, roles
from tenants.admin import one_time_secret
from tenants.admin.base import WorkspaceAdmin, moment, require
from tenants.models import IdentitySecret

_SLOT = "new_identity_secret"
OVERLAPS = {
    "0": gettext_lazy("Now"),
    "24": gettext_lazy("In a day"),
    "168": gettext_lazy("In a week"),
    "720": gettext_lazy("In 30 days"),
}


class OverlapForm(forms.Form):
    hours = forms.ChoiceField(
        label=gettext_lazy("When does the current secret stop working?"),
        choices=list(OVERLAPS.items()),
        initial="168",
    )


def page(admin: WorkspaceAdmin, request: HttpRequest) -> HttpResponse:
    """GET shows what there is, POST makes a secret."""
    workspace = require(request, roles.CONNECTIONS)
    now = timezone.now()
    rows = IdentitySecret.objects.filter(workspace=workspace).exclude(expires_at__lte=now)
    known = list(rows.defer("sealed").select_related("created_by").order_by("pk"))
    form = None
    if known:
        form = OverlapForm(request.POST or None)
    if request.method == "POST" and (form is None or form.is_valid()):
        overlap = timedelta(hours=int(form.cleaned_data["hours"])) if form else timedelta()
        user: Any = request.user
        one_time_secret.keep(
            request, _SLOT, identity.make(workspace, by=user, now=now, overlap=overlap)
        )
        return redirect("admin:tenants_apikey_identity")
    shown = [
        {
            "row": row,
            "made": moment(row.created_at, workspace),
            "ends": moment(row.expires_at, workspace),
        }
        for row in known
    ]
    secret = one_time_secret.take(request, _SLOT)
    return admin.page(
        request,
        "tenants/identity.html",
        _("Identity verification"),
        known=shown,
        form=form,
        secret=secret,
    )
