"""The pages of a workspace's people: members, their roles, invitations."""
