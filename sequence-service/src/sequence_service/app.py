"""The application factory of the sequence-service."""

from chassis.web import app as web
from chassis.web import health
from sequence_service import operations, routes
from sequence_service.settings import Settings

VERSION = "0.1.0"
DESCRIPTION = (
    "Issues document numbers. A number issued to one caller is not issued to any other caller within the same cycle."
)

INVARIANTS = {
    "the number of issued tickets of each sequence is valid": operations.check_issued_tickets,
    "the built-in sequences are unchanged": operations.check_built_in_sequences,
}


def create_app(settings: Settings | None = None) -> web.App:
    """Return the service's app; without `settings`, load them from the environment."""
    settings = settings or Settings.load()

    app = web.create_app("sequence", VERSION, settings, [routes.bp, health.blueprint(DESCRIPTION, INVARIANTS)])
    app.extensions[routes.BATCHERS] = routes.create_batchers(app.database)
    return app
