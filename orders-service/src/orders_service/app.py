"""Puts the service together."""

from chassis.web import app as web
from chassis.web import health
from orders_service.operations.upload_receiver import UploadReceiver
from orders_service.routes import BLUEPRINTS
from orders_service.routes.i18n import init_babel
from orders_service.routes.responses import render
from orders_service.settings import Settings
from orders_service.store.invariants import INVARIANTS

DESCRIPTION = "Orders of wine, imported from CSV files and judged by the rules of shipping."


def create_app(settings: Settings | None = None) -> web.App:
    """Settings come from the environment where none are given."""
    settings = settings or Settings.load()

    blueprints = [*BLUEPRINTS, health.blueprint(DESCRIPTION, INVARIANTS)]
    app = web.create_app("orders", settings, blueprints, render=render)
    init_babel(app)
    app.extensions["orders"] = UploadReceiver(app.database, settings)
    return app
