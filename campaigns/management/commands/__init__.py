"""manage.py import_templates."""
