"""Puts the service together."""

from chassis.web import app as web
from chassis.web import health
from sequence_service import operations, routes
from sequence_service.settings import Settings

DESCRIPTION = "Numbers for documents. No number is issued to two callers."

INVARIANTS = {
    "no sequence has issued more than its range holds": operations.overdrawn,
    "the four sequences of the contract stand as they were made": operations.built_in_changed,
}


def create_app(settings: Settings | None = None) -> web.App:
    """Settings come from the environment where none are given."""
    settings = settings or Settings.load()

    app = web.create_app("sequence", settings, [routes.bp, health.blueprint(DESCRIPTION, INVARIANTS)])
    app.extensions["draws"] = routes.batchers(app.database)
    return app
