"""Runs the stack in containers, on whatever Docker engine answers."""
