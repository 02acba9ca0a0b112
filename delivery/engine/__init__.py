"""The send pipeline. Read pipeline first, then work."""
