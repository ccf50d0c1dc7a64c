"""The HTTP layer of a service: app, errors, validation, OpenAPI document, idempotency, uploads, health, and metrics.

It depends on all other packages of the chassis; only `chassis.cli` depends on it. It never connects to RabbitMQ.
"""
