"""App push and web push."""
