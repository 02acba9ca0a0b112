"""The operators' pages of this layer."""
