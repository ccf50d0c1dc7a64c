"""Data and rules of charts, sprockets and files of them."""
