"""Data and rules of charts, sprockets and load files."""
