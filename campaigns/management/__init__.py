"""Django commands of the campaigns layer."""
