"""HTTP endpoints and pages of the console. They trust the user and role that the gateway has verified."""
