"""The built-in token issuer, which is disabled if AUTH_SERVER is set."""

from datetime import UTC, datetime
from typing import Annotated

from flask import Blueprint, Response
from flask.typing import ResponseReturnValue
from pydantic import Field
from typing_extensions import TypedDict

from chassis.errors import NotFound
from chassis.web.app import transaction, username
from chassis.web.endpoints import ResponseSpec, problem
from chassis.web.validation import endpoint
from specstore_service.domain.tokens import token_problem
from specstore_service.operations import tokens
from specstore_service.routes import examples
from specstore_service.routes.responses import UNAVAILABLE, route_context
from specstore_service.settings import Settings
from specstore_service.store import keys

bp = Blueprint("auth", __name__, url_prefix="/auth")


class Token(TypedDict):
    token: str
    expires_in: Annotated[int, Field(description="Seconds")]


_DISABLED = problem("IssuerDisabled", "Tokens are issued by another server (AUTH_SERVER)")


@bp.post("/token")
@endpoint(
    "Issue a token for the authenticated user",
    {
        200: ResponseSpec("The token, valid for an hour", Token, example=examples.TOKEN),
        401: problem("NotAuthenticated", "The request is not authenticated"),
        404: _DISABLED,
        503: UNAVAILABLE,
    },
    tag="tokens",
    description="The token proves that its bearer is this user: send it as `Auth-Token`, or in links as `?jwt=`. "
    "It does not replace the password, which the gateway still requires.",
)
def issue_token() -> ResponseReturnValue:
    settings = _require_built_in_issuer()
    user = username()
    if not user:
        raise token_problem(401)
    with transaction() as tx:
        private, _ = keys.get_key_pair(tx, tokens.generate_key_pair)
    token = tokens.issue(private, user, settings.max_dataset_num, datetime.now(UTC))
    return {"token": token, "expires_in": tokens.LIFETIME_SECONDS}, 200, {"Cache-Control": "no-store"}


@bp.get("/public-key")
@endpoint(
    "Get the public key that verifies tokens",
    {
        200: ResponseSpec("The key as PEM", {"type": "string"}, "text/plain", example=examples.PUBLIC_KEY),
        404: _DISABLED,
        503: UNAVAILABLE,
    },
    tag="tokens",
    security=(),
    description="No user is required: anyone may verify a token.",
)
def get_public_key() -> Response:
    _require_built_in_issuer()
    with transaction() as tx:
        _, public = keys.get_key_pair(tx, tokens.generate_key_pair)
    return Response(public, content_type="text/plain; charset=utf-8")


def _require_built_in_issuer() -> Settings:
    settings = route_context().settings
    if settings.auth_server:
        raise NotFound("tokens are issued by another server")
    return settings
