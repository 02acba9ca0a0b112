"""The page of a run, as its members see and use it."""

from django.contrib.messages import get_messages

from campaigns.models import Run

State = Run.State


def page(cast, run, tail="change/", who="owner", **query):
    return cast.client(who).get(cast.url(f"campaigns/run/{run.pk}/{tail}"), query)


def progress(cast, run, who="owner"):
    answer = page(cast, run, "progress/", who).json()
    assert answer["is_balanced"]
    if answer["audience"] is not None:
        assert sum(line["count"] for line in answer["lines"]) == answer["audience"]
    return answer


def lines(answer):
    return {line["slug"]: line["count"] for line in answer["lines"]}


def notices(answer):
    return " ".join(notice["text"] for notice in answer["notices"])


def press(cast, run, verb, who="owner"):
    return cast.client(who).post(cast.url(f"campaigns/run/{run.pk}/{verb}/"))


def said(answer):
    return " ".join(str(message) for message in get_messages(answer.wsgi_request))
