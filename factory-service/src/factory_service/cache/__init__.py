"""Responses in Redis, each stored with its version; docs/decisions/0007 explains why none of them is served stale."""
