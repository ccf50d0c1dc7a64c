"""The built-in issuer of tokens, where no other one is named."""

from datetime import UTC, datetime
from typing import Any

from flask import Blueprint, Response
from typing_extensions import TypedDict

from chassis.errors import NotFound
from chassis.web.app import transaction, username
from chassis.web.openapi import problem
from chassis.web.validation import ResponseSpec, endpoint
from specstore_service.domain.tokens import token_problem
from specstore_service.operations import tokens
from specstore_service.routes.responses import UNAVAILABLE, web
from specstore_service.store import keys

bp = Blueprint("auth", __name__, url_prefix="/auth")


class Token(TypedDict):
    token: str
    expires_in: int


_ELSEWHERE = problem("Tokens are issued elsewhere (AUTH_SERVER)")


@bp.post("/token")
@endpoint(
    "A token for the user who asks",
    {200: ResponseSpec("Valid for an hour", Token), 401: problem("Nobody asks"), 404: _ELSEWHERE, 503: UNAVAILABLE},
)
def issue_token() -> Any:
    settings = _own()
    user = username()
    if not user:
        raise token_problem(401)
    with transaction() as tx:
        private, _ = keys.get_key_pair(tx, tokens.generate_key_pair)
    token = tokens.issue(private, user, settings.max_dataset_num, datetime.now(UTC))
    answer = {"token": token, "expires_in": tokens.LIFETIME_SECONDS}
    return answer, 200, {"Cache-Control": "no-store"}


@bp.get("/public-key")
@endpoint(
    "The key that tokens are checked with",
    {200: ResponseSpec("As PEM", {"type": "string"}, "text/plain"), 404: _ELSEWHERE, 503: UNAVAILABLE},
)
def public_key() -> Any:
    _own()
    with transaction() as tx:
        _, public = keys.get_key_pair(tx, tokens.generate_key_pair)
    return Response(public, content_type="text/plain; charset=utf-8")


def _own() -> Any:
    settings = web().settings
    if settings.auth_server:
        raise NotFound("tokens are issued elsewhere")
    return settings
