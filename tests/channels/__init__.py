"""Tests of what can be said on a channel."""
