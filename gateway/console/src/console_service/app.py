"""Assembles the console."""

from flask import Flask

from chassis.web import app as web
from console_service import routes
from console_service.settings import Settings


def create_app(settings: Settings | None = None) -> Flask:
    """Create the application; None loads the settings from the environment."""
    settings = settings or Settings.load()
    return web.create_app("console", settings, [routes.blueprint(settings)])
