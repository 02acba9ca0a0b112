"""How a provider takes a message: one folder per provider."""
