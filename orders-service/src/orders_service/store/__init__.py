"""The SQL statements of this service."""
