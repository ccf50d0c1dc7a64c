"""Puts the service together."""

from collections.abc import Callable
from typing import Any

from chassis.db import Database
from chassis.web import app as web
from chassis.web import health
from chassis.web.health import no_row
from specstore_service.clients import http_apis
from specstore_service.operations import tokens
from specstore_service.operations.tokens import Keyring
from specstore_service.routes import BLUEPRINTS
from specstore_service.routes.responses import Web, render_error
from specstore_service.settings import Settings
from specstore_service.store import invariants, keys
from specstore_service.store.object_stores import create_object_store

VERSION = "0.1.0"
DESCRIPTION = "A registry of source specs: each upload is a revision, planned as pipelines that run."


INVARIANTS = {
    "the revisions of a dataset are 1, 2, 3 … to its last": no_row(invariants.find_revision_gap),
    "a flow's state is that of its pipelines": no_row(invariants.find_inconsistent_flow),
    "a pipeline's state follows from what it said and what it needs": no_row(invariants.find_inconsistent_pipeline),
    "a flow that has ended has told so once, and has its package": no_row(invariants.find_inconsistent_end),
    "an owner's datasets are counted": no_row(invariants.find_miscounted_owner),
}


def create_app(settings: Settings | None = None) -> web.App:
    """Settings come from the environment where none are given."""
    settings = settings or Settings.load()

    checks = {"auth-server": _asks(settings.auth_server)} if settings.auth_server else {}
    blueprints = [*BLUEPRINTS, health.blueprint(DESCRIPTION, INVARIANTS, checks)]
    app = web.create_app("specstore", VERSION, settings, blueprints, render=render_error)
    # The library for a bucket takes seconds to load: not while requests wait.
    create_object_store(settings)
    app.extensions["specstore"] = Web(settings, Keyring(_key_source(settings, app.database)))
    return app


def _asks(auth_server: str) -> health.Check:
    """While it is away the key that is known goes on being used: the service is not down."""

    def check(_app: web.App) -> dict[str, Any]:
        http_apis.fetch_public_key(auth_server)
        return {}

    return check


def _key_source(settings: Settings, database: Database) -> Callable[[], str]:
    if auth_server := settings.auth_server:
        return lambda: http_apis.fetch_public_key(auth_server)

    def of_our_own() -> str:
        with database.transaction() as tx:
            return keys.get_key_pair(tx, tokens.generate_key_pair)[1]

    return of_our_own
