"""Contacts, endpoints, templates, campaigns and their runs."""
