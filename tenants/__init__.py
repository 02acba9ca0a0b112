"""Who may do what: users, workspaces, roles, keys, provider connections, the audit trail."""
