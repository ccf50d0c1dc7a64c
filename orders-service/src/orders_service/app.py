"""Puts the service together."""

from typing import Any

from flask import Flask

from chassis.web import app as web
from chassis.web import health, openapi
from orders_service.routes import BLUEPRINTS
from orders_service.routes.answers import render
from orders_service.routes.forms import FILE
from orders_service.routes.receiving import Receiver
from orders_service.routes.words import speak
from orders_service.settings import Settings
from orders_service.store.invariants import INVARIANTS

VERSION = "0.1.0"


def create_app(settings: Settings | None = None) -> Flask:
    """Settings come from the environment where none are given."""
    settings = settings or Settings.load()

    def document() -> dict[str, Any]:
        described = openapi.document(
            app,
            title="orders-service",
            version=VERSION,
            description="Orders of wine, imported from CSV files and judged by the rules of shipping.",
        )
        for operation in described["paths"]["/acme_orders/api/v1/orders/import"].values():
            operation["requestBody"] = FILE
        return described

    blueprints = [*BLUEPRINTS, health.blueprint(document, INVARIANTS)]
    app = web.create_app("orders", VERSION, settings, blueprints, render=render)
    speak(app)
    app.extensions["orders"] = Receiver(app.database, settings)
    return app
