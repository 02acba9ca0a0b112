"""The pages of API keys, and of the secret of identity verification."""
