"""How messages leave: one adapter per channel, one transport under them, and the FCM sandbox."""
