"""Everything that any process needs: settings, logging, HTTP requests, and concurrency primitives.

It depends only on `chassis.errors`; all other packages of the chassis depend on it.
"""
