"""HTTP requests that this service sends."""
