"""The columns of push become the fields of a channel, and come back; and names of templates
become unique. Rows, not only tables, survive."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.conf import settings
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from campaigns import plan
from campaigns.models import Campaign, Content, Template
from tenants.scope import every_workspace

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(settings.ROW_SECURITY, reason="the role behind the wall owns no table"),
]

BEFORE, AFTER, NOW = "0015_channel_of_a_run", "0016_fields_of_the_channel", ""
TEXTS = {
    "title": "Hi “Asha” 🎉",
    "body": "{{ name }}\nline",
    "image_url": "",
    "deep_link": "app://a?b='c'",
}
OPTIONS = {
    "badge": 0,
    "silent": True,
    "buttons": [{"text": "Go"}],
    "data": {"k": "v", "n": None},
    "ttl_secs": 60,
}


@pytest.fixture
def tables_of() -> Iterator[Callable[[str], Any]]:
    """Migrate to that step of campaigns; returns its models. NOW: to the last one."""

    def migrate(name: str) -> Any:
        executor = MigrationExecutor(connection)
        executor.migrate(
            executor.loader.graph.leaf_nodes() if name == NOW else [("campaigns", name)]
        )
        return None if name == NOW else executor.loader.project_state([("campaigns", name)]).apps

    yield migrate
    migrate(NOW)


def test_columns_become_fields_and_a_pinned_text_keeps_its_digest(cast, tables_of):
    old = tables_of(BEFORE)
    with every_workspace():
        campaign = old.get_model("campaigns", "Campaign")._base_manager.create(
            workspace_id=cast.workspace.pk, name="Weekend", channel="web_push"
        )
        contents = old.get_model("campaigns", "Content")._base_manager
        contents.create(workspace_id=cast.workspace.pk, campaign=campaign, options=OPTIONS, **TEXTS)
        contents.create(
            workspace_id=cast.workspace.pk,
            campaign=campaign,
            language="hi",
            title="",
            body="",
            options={},
        )
        old.get_model("campaigns", "Template")._base_manager.create(
            name="Sale", category="offer", **TEXTS
        )
    pinned = [
        {**OPTIONS, **TEXTS, "language": "en", "variant": "A"},
        {
            "title": "",
            "body": "",
            "image_url": "",
            "deep_link": "",
            "language": "hi",
            "variant": "A",
        },
    ]
    tables_of(NOW)
    with every_workspace():
        english, hindi = Content.objects.order_by("language")
        assert (english.fields, english.title, english.channel) == (
            {**OPTIONS, **TEXTS},
            TEXTS["title"],
            "web_push",
        )
        assert (hindi.text("body"), hindi.title) == ("", "")
        assert plan.contents_of(Campaign.objects.get()) == (pinned, plan.digest_of(pinned))
        template = Template.objects.get()
        assert (template.fields, template.title, template.channel) == (
            TEXTS,
            TEXTS["title"],
            "app_push",
        )


def test_fields_become_columns_again(cast, tables_of):
    with every_workspace():
        campaign = Campaign.objects.create(workspace=cast.workspace, name="Weekend")
        Content.objects.create(
            workspace=cast.workspace, campaign=campaign, fields={**OPTIONS, **TEXTS}
        )
        Content.objects.create(
            workspace=cast.workspace,
            campaign=campaign,
            language="hi",
            fields={"title": "न" * 130, "sound": "x"},
        )
        Template.objects.create(name="Sale", category="offer", fields=TEXTS)
    old = tables_of(BEFORE)
    with every_workspace():
        english, hindi = old.get_model("campaigns", "Content")._base_manager.order_by("language")
        template = old.get_model("campaigns", "Template")._base_manager.get()
        for row in (english, template):
            assert {name: getattr(row, name) for name in TEXTS} == TEXTS
        assert (english.options, hindi.options) == (OPTIONS, {"sound": "x"})
        assert (hindi.title, hindi.body, hindi.image_url) == ("न" * 120, "", "")


def test_of_templates_with_one_name_the_newer_get_a_number(cast, tables_of):
    old = tables_of(AFTER).get_model("campaigns", "Template")._base_manager
    ours, theirs = cast.workspace.pk, cast.other_workspace.pk
    rows = [
        ("Cart", ours, "en"), ("CART", ours, "en"), ("cart (2)", ours, "en"), ("Cafe\u0301", None, "en"),
        ("caf\u00e9", None, "en"), ("cart", theirs, "en"), ("cart", ours, "hi"),
    ]  # fmt: skip
    with every_workspace():
        for name, workspace, language in rows:
            old.create(
                name=name,
                workspace_id=workspace,
                language=language,
                category="offer",
                fields={"title": name},
            )
    tables_of(NOW)
    with every_workspace():
        names = list(Template.objects.order_by("pk").values_list("name", flat=True))
        keys = list(Template.objects.order_by("pk").values_list("name_key", flat=True))
        titles = list(Template.objects.order_by("pk").values_list("title", flat=True))
    assert names == ["Cart", "CART (3)", "cart (2)", "Cafe\u0301", "caf\u00e9 (2)", "cart", "cart"]
    assert keys == ["cart", "cart (3)", "cart (2)", "caf\u00e9", "caf\u00e9 (2)", "cart", "cart"]
    assert titles == [name for name, _, _ in rows]
