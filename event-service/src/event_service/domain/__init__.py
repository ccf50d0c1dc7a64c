"""Data and rules of streams, events and offsets."""
