"""The recipients of a run: pages, filters, export."""

import csv
import io

import pytest

from campaigns.models import Contact
from delivery.admin import slots
from delivery.admin.run import recipients
from delivery.admin.run.recipients import HEADER
from delivery.models import Message
from tenants.models import AuditEntry
from tenants.scope import current_workspace, scope
from tests.delivery.run_pages import page
from tests.story import add_people, run_to_the_end


# --- recipients -----------------------------------------------------------------------------------
@pytest.fixture
def sent(cast, launched):
    """A run of 120 recipients: 80 accepted, 40 gone."""
    add_people(
        cast.workspace,
        120,
        tokens=[f"sbx_{'ok' if i % 3 else 'unregistered'}_{i}" for i in range(120)],
    )
    return run_to_the_end(launched())


def test_pages_of_recipients_show_everybody_once(cast, sent):
    seen, after = [], ""
    for _ in range(5):
        answer = page(cast, sent, "recipients/", "viewer", after=after)
        seen += [row["message"].pk for row in answer.context["rows"]]
        following = answer.context["following"]
        if not following:
            break
        after = following.removeprefix("after=")
    with scope(cast.workspace):
        assert sorted(seen) == sorted(Message.objects.values_list("pk", flat=True))
    assert len(seen) == len(set(seen)) == 120


def test_a_contact_with_two_devices_is_not_lost_between_pages(cast, launched, monkeypatch):
    from campaigns.models import Endpoint

    people = add_people(cast.workspace, 5)
    with scope(cast.workspace):
        for n in range(3):
            Endpoint.objects.create(
                workspace=cast.workspace, contact=people[1], value=f"sbx_ok_more{n}"
            )
    run = run_to_the_end(launched())
    monkeypatch.setattr(recipients, "PAGE_ROWS", 2)
    seen, after = [], ""
    while True:
        answer = page(cast, run, "recipients/", after=after)
        seen += [row["message"].pk for row in answer.context["rows"]]
        if not answer.context["following"]:
            break
        after = answer.context["following"].removeprefix("after=")
    assert len(seen) == len(set(seen)) == 8


def test_recipients_can_be_filtered_and_found(cast, sent):
    gone = page(cast, sent, "recipients/", reason="endpoint_gone")
    assert len(gone.context["rows"]) == 40
    assert "UNREGISTERED" in gone.content.decode()
    one = page(cast, sent, "recipients/", contact="user-7")
    assert [row["contact"].external_id for row in one.context["rows"]] == ["user-7"]
    longer = page(cast, sent, "recipients/", code="UNREGISTERED" + "x" * 64)
    assert not longer.context["rows"]
    nobody = page(cast, sent, "recipients/", contact="user-7' OR 1=1")
    assert "Enter the exact id" in nobody.content.decode()


@pytest.mark.parametrize(
    "query",
    [
        {"after": "x"},
        {"after": "1.2.3"},
        {"after": "9" * 19 + ".1"},
        {"after": "-1.-1"},
        {"reason": "nonsense"},
        {"contact": "x" * 5000},
        {"after": "99999999999.1"},
    ],
)
def test_a_strange_address_shows_a_page(cast, sent, query):
    assert page(cast, sent, "recipients/", **query).status_code == 200


def test_later_states_come_from_the_slot(cast, sent, monkeypatch):
    asked = []

    def states(ids):
        asked.append(len(ids))
        return {ids[0]: ["opened"]}

    monkeypatch.setattr(slots, "MESSAGE_STATES", [states])
    assert "opened" in page(cast, sent, "recipients/").content.decode()
    assert asked == [50]


def read_csv(answer):
    return list(csv.reader(io.StringIO(answer.getvalue().decode("utf-8-sig"))))


def test_the_export_has_every_recipient_and_leaves_a_trace(cast, sent, monkeypatch):
    monkeypatch.setattr(recipients, "CSV_ROWS", 25)
    monkeypatch.setattr(
        slots, "MESSAGE_STATES", [lambda ids: {key: ["delivered", "opened"] for key in ids}]
    )
    rows = read_csv(page(cast, sent, "recipients.csv", "admin"))
    assert rows[0] == list(HEADER)
    assert len(rows) == 121
    assert len({row[0] for row in rows[1:]}) == 120
    assert rows[1][-1] == "delivered; opened"
    with scope(cast.workspace):
        assert (
            AuditEntry.objects.filter(action="recipients exported", actor=cast.admin).count() == 1
        )
    assert len(read_csv(page(cast, sent, "recipients.csv", reason="endpoint_gone"))) == 41


def test_between_two_rows_of_an_export_the_thread_may_serve_another_workspace(cast, sent):
    rows = recipients.csv_rows(sent, recipients.Wanted())
    assert [next(rows)[0] for _ in range(3)] == ["contact", "user-0", "user-1"]
    assert current_workspace() is None


def test_an_export_of_thousands_has_every_recipient(cast, prepared):
    rows = read_csv(page(cast, prepared(2_100), "recipients.csv"))
    assert (
        len({row[0] for row in rows[1:]})
        == len({row[1] for row in rows[1:]})
        == len(rows[1:])
        == 2_100
    )


@pytest.mark.parametrize("who", ["member", "viewer"])
def test_exporting_personal_data_needs_its_own_right(cast, sent, who):
    assert page(cast, sent, "recipients.csv", who).status_code == 403
    assert "recipients.csv" not in page(cast, sent, "recipients/", who).content.decode()


@pytest.mark.parametrize("evil", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"])
def test_no_cell_of_the_export_is_a_formula(cast, launched, evil):
    people = add_people(cast.workspace, 1)
    with scope(cast.workspace):
        Contact.objects.filter(pk=people[0].pk).update(external_id=evil)
    rows = read_csv(page(cast, run_to_the_end(launched()), "recipients.csv"))
    assert rows[1][0] == f"'{evil}"


def test_a_deleted_contact_stays_in_the_account(cast, sent):
    with scope(cast.workspace):
        Contact.objects.get(external_id="user-0").delete()
    assert "Deleted contact" in page(cast, sent, "recipients/").content.decode()
    assert "(deleted)" in {row[0] for row in read_csv(page(cast, sent, "recipients.csv"))}
