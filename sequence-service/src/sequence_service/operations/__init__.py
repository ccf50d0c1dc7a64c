"""Use cases of the sequence-service."""
