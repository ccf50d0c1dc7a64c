"""What this service asks others over HTTP."""
