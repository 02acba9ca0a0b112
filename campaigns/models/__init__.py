"""Contacts and their endpoints, templates, campaigns with their contents, and runs."""

from campaigns.models.campaigns import (
    PEOPLE,
    AmbiguityPolicy,
    Campaign,
    Content,
    MessageClass,
    Revision,
    Targeted,
    is_broadcast,
    lane_title,
    target_kinds,
)
from campaigns.models.contacts import (
    ALL_CHANNELS,
    Consent,
    Contact,
    Endpoint,
    EndpointMove,
    WaitingConsent,
    consent_channels,
)
from campaigns.models.runs import Run
from campaigns.models.templates import Template, Tone

__all__ = [
    "ALL_CHANNELS",
    "PEOPLE",
    "AmbiguityPolicy",
    "Campaign",
    "Consent",
    "Contact",
    "Content",
    "Endpoint",
    "EndpointMove",
    "MessageClass",
    "Revision",
    "Run",
    "Targeted",
    "Template",
    "Tone",
    "WaitingConsent",
    "consent_channels",
    "is_broadcast",
    "lane_title",
    "target_kinds",
]
