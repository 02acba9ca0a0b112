"""The permission matrix: every surface of the product, used by every role, on rows of its
workspace and of another."""
