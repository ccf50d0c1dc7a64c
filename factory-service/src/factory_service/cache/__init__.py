"""Redis in front of Postgres; docs/decisions/0007 says why nothing in it is older than what was answered."""
