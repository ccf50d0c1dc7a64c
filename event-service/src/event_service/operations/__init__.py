"""Use cases of the event-service."""
