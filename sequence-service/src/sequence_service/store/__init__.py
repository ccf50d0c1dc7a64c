"""SQL statements of the sequence-service."""
