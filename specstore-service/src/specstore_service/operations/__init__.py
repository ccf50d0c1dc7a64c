"""Use cases of the specstore-service."""
