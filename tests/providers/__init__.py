"""Tests of the carriers and their sandbox."""
