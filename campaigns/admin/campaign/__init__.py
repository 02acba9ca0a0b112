"""The pages of a campaign: editor, review, schedule."""
