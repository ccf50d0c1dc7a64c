"""Assembles the service."""

from collections.abc import Callable
from typing import Any

from chassis.db import Database
from chassis.web import app as web
from chassis.web import health
from specstore_service.clients import http_apis
from specstore_service.operations import tokens
from specstore_service.operations.tokens import Keyring
from specstore_service.routes import API, BLUEPRINTS
from specstore_service.routes.responses import RouteContext, render_error
from specstore_service.settings import Settings
from specstore_service.store import keys
from specstore_service.store.invariants import INVARIANTS
from specstore_service.store.object_stores import create_object_store
from specstore_service.store.traces import TRACE


def create_app(settings: Settings | None = None) -> web.App:
    """Create the app. By default the settings are loaded from the environment."""
    settings = settings or Settings.load()

    checks = {"auth-server": _auth_server_check(settings.auth_server)} if settings.auth_server else {}
    blueprints = [*BLUEPRINTS, health.blueprint(API, INVARIANTS, TRACE, checks)]
    app = web.create_app("specstore", settings, blueprints, render=render_error)
    # Loading boto3 takes seconds, which must not delay a request.
    create_object_store(settings)
    app.extensions["specstore"] = RouteContext(settings, Keyring(_key_source(settings, app.database)))
    return app


def _auth_server_check(auth_server: str) -> health.Check:
    """Return a check of the token issuer. While the issuer is down, the cached key is used."""

    def check(_app: web.App) -> dict[str, Any]:
        http_apis.fetch_public_key(auth_server)
        return {}

    return check


def _key_source(settings: Settings, database: Database) -> Callable[[], str]:
    if auth_server := settings.auth_server:
        return lambda: http_apis.fetch_public_key(auth_server)

    def fetch_own_key() -> str:
        with database.transaction() as tx:
            return keys.get_key_pair(tx, tokens.generate_key_pair)[1]

    return fetch_own_key
