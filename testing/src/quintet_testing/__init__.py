"""Test support that all services share: a pytest plugin, a temporary Postgres, waiting for conditions, and fuzzing.

It depends on the chassis, and nothing in production depends on it: it is a separate distribution, so no image has it.
"""
