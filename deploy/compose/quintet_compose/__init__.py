"""Runs the stack in containers, on the Docker engine that the `docker` command uses."""
