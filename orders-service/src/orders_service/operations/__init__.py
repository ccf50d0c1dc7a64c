"""The use cases of this service."""
