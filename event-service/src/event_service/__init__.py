"""Append-only streams of events, and consumers with offsets."""
