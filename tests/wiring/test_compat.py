"""What the product uses of libraries beyond their public interface is there, and does what it is
used for."""

import inspect
import io
from multiprocessing.queues import SimpleQueue
from unittest import mock

import openpyxl
import pytest
from allauth.mfa.totp.internal.auth import TOTP
from django import forms
from django.contrib import admin
from django.test import RequestFactory
from django_q.cluster import Sentinel
from firebase_admin import messaging
from google.oauth2.credentials import Credentials
from liquid import Environment

from campaigns.models import Campaign
from pushpilot.lib.compat import allauth, django, google, liquid, q2, unfold
from pushpilot.lib.compat import openpyxl as sheets
from pushpilot.sites import console

pytestmark = pytest.mark.once


def test_a_site_tells_its_pages():
    assert django.pages_of(console)[Campaign].model is Campaign
    assert django.pages_of(admin.site)


def test_a_request_has_the_address_that_it_is_given():
    request = RequestFactory().get("/here/", headers={"Host": "localhost"})
    django.set_address(request, "https://push.example.com")
    assert request.build_absolute_uri() == "https://push.example.com/here/"


def test_a_ticked_row_is_marked_for_deletion_beside_an_invalid_one():
    class Row(forms.Form):
        name = forms.CharField()

    data = {
        "form-TOTAL_FORMS": "2",
        "form-INITIAL_FORMS": "0",
        "form-0-name": "a",
        "form-0-DELETE": "on",
        "form-1-x": "y",
    }
    rows = forms.formset_factory(Row, can_delete=True, extra=2)(data)
    rows.is_valid()
    assert [django.is_marked_for_deletion(rows, row) for row in rows.forms] == [True, False]


def test_a_page_tells_its_actions_as_they_are_declared():
    page = django.pages_of(console)[Campaign]
    assert set(unfold.actions_of(page)) == {"list", "row", "detail", "submit line"}
    assert any(unfold.actions_of(page).values())
    assert all(callable(function) for function, *_ in unfold.bulk_actions_of(page))


def test_a_site_reads_its_settings(rf):
    request = rf.get("/")
    with mock.patch.object(
        console, "_get_config", return_value={"navigation": lambda asked: [asked]}
    ):
        assert unfold.setting(console, "SIDEBAR", request, "navigation") == [request]
    assert isinstance(console._get_config("SIDEBAR", request), dict)


def test_a_code_can_be_used():
    assert list(inspect.signature(TOTP._mark_code_used).parameters) == ["self", "code"]
    assert allauth.use_code(
        type("App", (), {"_mark_code_used": lambda self, code: code == "1"})(), "1"
    )


def test_ranges_are_judged(monkeypatch):
    monkeypatch.setattr(liquid.RangeLiteral, "_make_range", liquid.RangeLiteral._make_range)
    seen = []
    liquid.judge_ranges(seen.append)
    assert Environment().from_string("{% if (1..3) contains 2 %}x{% endif %}").render() == "x"
    assert seen == [range(1, 4)]


def test_dates_of_a_sheet_stay_numbers():
    book = openpyxl.Workbook()
    book.active["A1"] = 46350
    book.active["A1"].number_format = "d mmm yyyy"
    file = io.BytesIO()
    book.save(file)
    read = openpyxl.load_workbook(file, read_only=True)
    sheets.keep_numbers(read)
    assert list(read.worksheets[0].iter_rows(values_only=True)) == [(46350,)]


def test_a_sheet_tells_a_formula_without_its_result():
    sheets.tell_bare_formulas()
    book = openpyxl.Workbook()
    book.active.append(("=1+1", None, 2))
    file = io.BytesIO()
    book.save(file)
    read = openpyxl.load_workbook(file, read_only=True, data_only=True)
    ((formula, empty, number),) = read.worksheets[0].iter_rows()
    assert (formula.value, formula.data_type) == (None, sheets.FORMULA)
    assert empty.value is None
    assert (number.value, number.data_type) == (2, "n")


def test_the_sdk_can_be_sent_elsewhere():
    import firebase_admin

    app = firebase_admin.initialize_app(_Token("x"), {"projectId": "p"}, name="test-compat")
    try:
        session = google.post_to(app, "http://127.0.0.1:1/send")
        assert session is messaging._get_messaging_service(app)._client.session
        assert messaging._get_messaging_service(app)._fcm_url == "http://127.0.0.1:1/send"
        assert messaging._http_client.HttpxAsyncClient is google._NoClient
    finally:
        firebase_admin.delete_app(app)
    assert google.utc_now().tzinfo is None


def test_a_queue_of_results_gets_a_free_lock():
    assert "result_queue" in inspect.getsource(Sentinel)
    queue = SimpleQueue(ctx=__import__("multiprocessing").get_context())
    queue._rlock.acquire()
    q2.free_results(type("Sentinel", (), {"result_queue": queue})())
    assert queue._rlock.acquire(block=False)


class _Token(Credentials):
    """Never refreshed."""
