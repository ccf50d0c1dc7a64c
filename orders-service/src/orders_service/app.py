"""Application factory of the service."""

from chassis.web import app as web
from chassis.web import health
from orders_service.operations.upload_receiver import UploadReceiver
from orders_service.routes import API, BLUEPRINTS
from orders_service.routes.i18n import init_babel
from orders_service.routes.responses import render_problem
from orders_service.settings import Settings
from orders_service.store.invariants import INVARIANTS
from orders_service.store.traces import TRACE


def create_app(settings: Settings | None = None) -> web.App:
    """Create the application; `settings` default to those of the environment."""
    settings = settings or Settings.load()

    blueprints = [*BLUEPRINTS, health.blueprint(API, INVARIANTS, TRACE)]
    app = web.create_app("orders", settings, blueprints, render=render_problem)
    init_babel(app)
    app.extensions["orders"] = UploadReceiver(app.database, settings)
    return app
