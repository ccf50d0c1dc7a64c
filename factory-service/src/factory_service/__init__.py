"""Production charts of factories and the sprockets they make, read far more than written."""
