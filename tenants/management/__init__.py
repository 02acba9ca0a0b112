"""Django commands of the tenants layer."""
