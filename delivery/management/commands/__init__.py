"""manage.py sandbox."""
