"""Production charts of factories and the sprockets that they make; read far more often than written."""
