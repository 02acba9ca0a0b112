"""The API's routes of this layer."""
