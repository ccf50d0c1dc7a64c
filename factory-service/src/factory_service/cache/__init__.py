"""Responses in Redis, each with the version it is of: docs/decisions/0007 says why none of them can be stale."""
