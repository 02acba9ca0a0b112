"""A campaign's message: lint, and edits of a send under way."""
