"""Faults planted one at a time: which of them do the tests see?"""
