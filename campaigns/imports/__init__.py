"""Bulk import: files.py reads any file into a table, cells.py knows the columns, templates.py
judges each row."""
