"""Puts the service together."""

from typing import Any

from flask import Flask

from chassis.web import app as web
from chassis.web import health, openapi
from sequence_service import operations, routes
from sequence_service.settings import Settings

VERSION = "0.1.0"

INVARIANTS = {
    "no sequence has issued more than its range holds": operations.overdrawn,
    "the four sequences of the contract stand as they were made": operations.built_in_changed,
}


def create_app(settings: Settings | None = None) -> Flask:
    """Settings come from the environment where none are given."""
    settings = settings or Settings.load()

    def document() -> dict[str, Any]:
        return openapi.document(
            app,
            title="sequence-service",
            version=VERSION,
            description="Numbers for documents. Who asks gets numbers that nobody else gets.",
        )

    app = web.create_app("sequence", VERSION, settings, [routes.bp, health.blueprint(document, INVARIANTS)])
    app.extensions["draws"] = routes.batcher(app.database)
    return app
