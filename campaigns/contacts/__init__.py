"""People: their endpoints and what they agreed to."""
