"""Django's PostgreSQL backend, carrying the active scope into every connection: ENGINE
"tenants.postgres"."""
