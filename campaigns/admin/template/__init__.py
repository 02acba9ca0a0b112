"""The template library and its import."""
