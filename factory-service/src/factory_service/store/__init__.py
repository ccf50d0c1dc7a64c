"""Every statement this service sends to Postgres."""
