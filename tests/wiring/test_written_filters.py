"""What somebody writes into the address of a list, on both sites: a filter of that list, or 400."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from itertools import cycle, product

import pytest
from django.contrib.admin import ModelAdmin
from django.contrib.admin.sites import AdminSite
from django.contrib.messages.storage.cookie import CookieStorage
from django.core.exceptions import BadRequest, SuspiciousOperation
from django.db import models
from django.db.models.constants import LOOKUP_SEP
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory

from delivery.models import Heartbeat
from pushpilot.sites import console, platform
from tenants.models import Membership, User, Workspace
from tenants.scope import scope
from tests.house.rows import rows_of

SECRET = (
    "password",
    "digest",
    "sealed",
    "session_key",
    "data",
    "extra_data",
    "kwargs",
    "content",
    "payload",
)
LISTS = [
    *((console, model) for model in console._registry if model is not Workspace),
    # that page asks no address
    *((platform, model) for model in platform._registry if model is not Heartbeat),
]
EACH_LIST = pytest.mark.parametrize(
    ("site", "model"),
    LISTS,
    ids=[f"{site.name}-{model._meta.label_lower}" for site, model in LISTS],
)
ENDS = ("__exact", "__id__exact", "__isnull", "_from", "_to", "_from_0", "_to_0")
HOSTILE = [
    "9" * 30,
    "-1",
    "x",
    "'",
    "",
    "99999999-99-99",
    "0000-00-00",
    "9" * 400,
    "1,2",
    "²",
    "True",
    "\u202e",
]


def asking(
    cast, site: AdminSite, model: type[models.Model]
) -> Callable[[dict[str, str]], HttpResponse]:
    """A function that gives the list's answer to an owner, or on the platform to an operator; an
    exception of ours is raised."""
    path = f"{model._meta.app_label}/{model._meta.model_name}/"
    who, url = ("owner", cast.url(path)) if site is console else ("operator", f"/platform/{path}")
    client = cast.client(who)
    return lambda query: client.get(url, query)


def paths_of(model: type[models.Model], depth: int = 2) -> list[tuple[str, models.Field]]:
    """(lookup, field) of every column of the model and of what it points at."""
    found: list[tuple[str, models.Field]] = []
    for field in model._meta.concrete_fields:
        found.append((field.name, field))
        if field.remote_field and depth:
            found += [
                (f"{field.name}__{path}", last)
                for path, last in paths_of(field.remote_field.model, depth - 1)
            ]
    return found


@pytest.mark.once
@EACH_LIST
def test_a_lookup_that_no_filter_offers_is_400(cast, site, model):
    asked = {"nonsense": "1", "id__in": "1"}
    for path, field in paths_of(model):
        if isinstance(field, models.DateTimeField):
            asked[f"{path}__year"] = "99999999"
        if path.rpartition(LOOKUP_SEP)[2] in SECRET:
            asked[f"{path}__startswith"] = "p"
            asked[f"{path}__regex"] = "^p"
    ask = asking(cast, site, model)
    answers = {name: ask({name: value}).status_code for name, value in asked.items()}
    assert answers == dict.fromkeys(asked, 400)


def test_secret_columns_are_among_them(cast):
    seen = {
        path
        for site, model in LISTS
        for path, _ in paths_of(model)
        if path.rpartition(LOOKUP_SEP)[2] in SECRET
    }
    assert seen >= {
        "password",
        "digest",
        "sealed",
        "user__password",
        "created_by__password",
        "workspace__owner__password",
    }


def names_of(page: ModelAdmin, request: HttpRequest) -> list[str]:
    """Of the parameters that the list and its filters read."""
    names = {"p", "o", "q", "all", "e", "_to_field", "_facets"}
    for entry in page.get_list_filter(request):
        if isinstance(entry, tuple | list):
            names |= {f"{entry[0]}{end}" for end in ENDS}
        elif isinstance(entry, str):
            names |= {f"{entry}__exact", f"{entry}__gte", f"{entry}__lt"}
        else:
            names.add(entry.parameter_name)
    return sorted(names)


@EACH_LIST
def test_no_value_of_a_filter_is_an_error_of_ours(cast, site, model):
    """The list is made with each value of each parameter; the page around it is written once for
    each parameter, and takes the values in turn."""
    page, ask = site._registry[model], asking(cast, site, model)
    rows_of(cast.workspace)
    person = User.objects.get(pk=(cast.owner if site is console else cast.operator).pk)

    def answer(query: dict[str, str]) -> int:
        request = RequestFactory().get("/", query)
        request.user, request.workspace = person, cast.workspace
        request.session, request._messages = {}, CookieStorage(request)
        try:
            return page.changelist_view(request).status_code
        except (SuspiciousOperation, BadRequest):
            return 400

    request = RequestFactory().get("/")
    request.user, request.workspace = person, cast.workspace
    inside = scope(cast.workspace) if site is console else nullcontext()
    with inside:
        names = names_of(page, request)
        for name, value in product(names, HOSTILE):
            assert answer({name: value}) in (200, 302, 400), (name, value)
    for name, value in zip(names, cycle(HOSTILE)):
        assert ask({name: value}).status_code in (200, 302, 400), (name, value)


def test_the_filters_of_a_list_still_filter(cast):
    ask = asking(cast, console, Membership)
    for role, found in (("viewer", 1), ("owner", 1), ("nothing", 0)):
        page = ask({"role__exact": role})
        assert len(page.context["cl"].result_list) == found
