"""The service's use cases."""
