"""Who gets a message: rules, gates, and the reason of everybody."""
