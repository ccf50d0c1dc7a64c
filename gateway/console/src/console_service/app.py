"""Assembles the console."""

from flask import Flask

from chassis.web import app as web
from console_service.routes import (
    datasets,
    factories,
    invariants,
    messages,
    orders,
    overview,
    pages,
    reports,
    sequences,
    services,
    sprockets,
    streams,
    traces,
    users,
)
from console_service.settings import Settings


def create_app(settings: Settings | None = None) -> Flask:
    """Create the application; None loads the settings from the environment."""
    settings = settings or Settings.load()
    blueprints = [
        reports.blueprint(settings),
        pages.bp,
        overview.bp,
        services.bp,
        invariants.bp,
        sequences.bp,
        streams.bp,
        orders.bp,
        datasets.bp,
        factories.bp,
        sprockets.bp,
        traces.bp,
        messages.bp,
        users.bp,
    ]
    app = web.create_app("console", settings, blueprints, render=pages.render_problem)
    pages.register_filters(app)
    return app
