"""The operators' pages of this layer: users, workspaces, sign-in, history."""
