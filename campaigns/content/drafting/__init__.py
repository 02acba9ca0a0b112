"""Drafts of a message, made from templates and phrases: no network, no model, nothing invented.

`suggest` is the verb behind the API and the console. An engine makes drafts of a `Brief`; whatever
engine made them, `checks` lets only those through that say nothing beyond the brief.
"""
