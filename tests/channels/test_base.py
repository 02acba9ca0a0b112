"""What every channel has to say about itself."""

import pytest

from campaigns.channels.base import Channel, Field

SUBJECT = (Field("subject", "Subject line", 60),)


def test_a_channel_without_the_field_that_lists_show_is_refused_at_once():
    with pytest.raises(TypeError, match="title_field"):
        type("Fax", (Channel,), {"fields": SUBJECT})
    assert (
        type("Fax", (Channel,), {"fields": SUBJECT, "title_field": "subject"}).title_field
        == "subject"
    )
