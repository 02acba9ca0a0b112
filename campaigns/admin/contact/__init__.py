"""The pages of a contact."""
