"""Runs Quintet on one machine without containers and without root."""
