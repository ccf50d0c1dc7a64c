"""The application factory of the sequence-service."""

from chassis.web import app as web
from chassis.web import health
from sequence_service import operations, routes
from sequence_service.settings import Settings

DESCRIPTION = (
    "Issues document numbers. A number issued to one caller is not issued to any other caller within the same cycle."
)

INVARIANTS = {
    "the range and the count of issued numbers of each sequence are valid": operations.check_issued_numbers,
    "the built-in sequences are unchanged": operations.check_built_in_sequences,
}


def create_app(settings: Settings | None = None) -> web.App:
    """Return the service's app; without `settings`, load them from the environment."""
    settings = settings or Settings.load()

    app = web.create_app("sequence", settings, [routes.bp, health.blueprint(DESCRIPTION, INVARIANTS)])
    app.extensions[routes.BATCHERS_KEY] = routes.create_batchers(app.database)
    return app
