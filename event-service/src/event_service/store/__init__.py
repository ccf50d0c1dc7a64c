"""SQL statements of the event-service."""
