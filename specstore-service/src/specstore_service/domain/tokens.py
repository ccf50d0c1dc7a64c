"""Access tokens: the user that a token identifies, and that user's permissions."""

import re
from dataclasses import dataclass
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from chassis.errors import Problem
from specstore_service.domain.names import NAME_PATTERN

SERVICE = "source"
ALGORITHM = "RS256"
MAX_TOKEN_LENGTH = 8192
_DETAIL = "No token or token not authorised for owner"


@dataclass(frozen=True)
class Bearer:
    userid: str
    max_datasets: int


class BadSignature(Exception):
    """The token was signed with another key, possibly one that is newer than the cached key."""


def token_problem(status: int) -> Problem:
    return Problem(_DETAIL, status=status)


def verify_token(token: str, public_key: RSAPublicKey) -> Bearer:
    """Return the bearer. Raise BadSignature, and Problem (401) if the token is invalid for any other reason."""
    if len(token) > MAX_TOKEN_LENGTH:
        raise token_problem(401)
    try:
        claims = jwt.decode(
            token,
            public_key,
            algorithms=[ALGORITHM],
            options={"require": ["exp"], "verify_aud": False, "verify_iat": False},
        )
    except jwt.InvalidSignatureError:
        raise BadSignature from None
    except (jwt.PyJWTError, ValueError, TypeError, OverflowError, RecursionError):
        raise token_problem(401) from None
    return _bearer(claims)


def _bearer(claims: dict[str, Any]) -> Bearer:
    userid, permissions = claims.get("userid"), claims.get("permissions")
    max_datasets = permissions.get("max_dataset_num") if isinstance(permissions, dict) else None
    if (
        claims.get("service") == SERVICE
        and isinstance(userid, str)
        and re.fullmatch(NAME_PATTERN.strip("^$"), userid)
        and isinstance(max_datasets, int)
        and not isinstance(max_datasets, bool)
        and max_datasets >= 0
    ):
        return Bearer(userid, max_datasets)
    raise token_problem(401)
