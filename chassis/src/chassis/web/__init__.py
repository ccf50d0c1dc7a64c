"""The HTTP side of a service: app, validation, OpenAPI document, idempotency, uploads, health, metrics."""
