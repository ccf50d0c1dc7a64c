"""Append-only event streams, and consumers with offsets."""
