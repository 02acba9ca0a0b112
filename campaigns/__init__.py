"""What, to whom, when: contacts, endpoints, templates, campaigns, runs."""
