"""Who a token says its bearer is, and what he may."""

import re
from dataclasses import dataclass
from typing import Any

import jwt

from chassis.errors import Problem
from specstore_service.domain.names import PATTERN

SERVICE = "source"
ALGORITHM = "RS256"
MAX_TOKEN_LENGTH = 8192
_REFUSED = "No token or token not authorised for owner"


@dataclass(frozen=True)
class Bearer:
    userid: str
    max_datasets: int


class BadSignature(Exception):
    """Made with another key: perhaps with one that is newer than ours."""


def token_problem(status: int) -> Problem:
    return Problem(_REFUSED, status=status)


def verify_token(token: str, public_key: Any) -> Bearer:
    """Raises BadSignature, and Problem (401) for every other token that is none of ours."""
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
    most = permissions.get("max_dataset_num") if isinstance(permissions, dict) else None
    is_good = (
        claims.get("service") == SERVICE
        and isinstance(userid, str)
        and re.fullmatch(PATTERN.strip("^$"), userid)
        and isinstance(most, int)
        and not isinstance(most, bool)
        and most >= 0
    )
    if not is_good:
        raise token_problem(401)
    return Bearer(str(userid), int(most))  # type: ignore[arg-type]
