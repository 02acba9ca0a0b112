"""Django commands of the delivery layer."""
