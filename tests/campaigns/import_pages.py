"""Files of templates on their way through the pages of an import: sent, and read off the table."""

from __future__ import annotations

import re

from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

HEADING = "name,language,category,tone,title,body,image_url,deep_link"
GOOD = (
    f'{HEADING}\nDiwali,en,festive,cheerful,Happy Diwali,"20% off",,\nCart,en,retention,,You '
    "forgot me,Come back,,\n"
)
BAD = (
    f"{HEADING}\nDiwali,en,festive,,Happy "
    "Diwali,B,,\nCart,en,ofer,,=cmd|x,B,,\nDiwali,EN,offer,,T,B,,\n"
)


def upload(client: Client, url: str, content: str | bytes = GOOD, name: str = "templates.csv"):
    data = content.encode() if isinstance(content, str) else content
    return client.post(url, {"file": SimpleUploadedFile(name, data)})


def preview(cast, content: str | bytes = GOOD, who: str = "member"):
    """(client, page of the rows, token of the upload)."""
    client = cast.client(who)
    answer = upload(client, cast.url("campaigns/template/import/"), content)
    assert answer.status_code == 302, answer.content.decode()
    page = client.get(cast.url("campaigns/template/import/") + answer["Location"])
    return client, page, page.context["token"]


def rows_of(page) -> list[tuple[int, str]]:
    """(row number, status) as a person reads them in the table."""
    html = page.content.decode()
    found = re.findall(
        r'im-number"><span class="im-narrow">Row </span>(\d+)</td>\s*<td><span class="im-status '
        r"im-(\w+)",
        html,
    )
    return [(int(number), status) for number, status in found]
