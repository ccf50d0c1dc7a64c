"""Data and rules of sequences and of the formats of their numbers."""
