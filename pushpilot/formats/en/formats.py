"""Dates and times that Django writes by itself, in the style of `tenants.admin.base.moment`: "21
Nov 2026, 15:42"."""

DATE_FORMAT = SHORT_DATE_FORMAT = "j M Y"
TIME_FORMAT = "H:i"
DATETIME_FORMAT = SHORT_DATETIME_FORMAT = "j M Y, H:i"
