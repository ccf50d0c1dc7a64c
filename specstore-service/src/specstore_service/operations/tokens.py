"""Tokens: with which key they are checked, and how the built-in issuer makes them."""

import threading
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from chassis.errors import Unavailable
from chassis.runtime import logs
from specstore_service.domain import tokens
from specstore_service.domain.tokens import BadSignature, Bearer

log = logs.logger(__name__)

LIFETIME_SECONDS = 3600
# Forged tokens must not make us ask the issuer without end.
REFETCH_SECONDS = 1.0


class Keyring:
    """The public key, fetched when first wanted and when a signature fails; the old one stays while that fails."""

    def __init__(self, fetch: Callable[[], str], clock: Callable[[], float] = time.monotonic) -> None:
        self._fetch, self._clock = fetch, clock
        self._lock = threading.Lock()
        self._key: Any = None
        self._asked_at = float("-inf")

    def check(self, token: str | None) -> Bearer:
        """Raises Problem (401), or Unavailable where no key was ever had."""
        if not token:
            raise tokens.token_problem(401)
        key = self._key or self._newer_than(None)
        if key is None:
            raise Unavailable("the issuer of tokens does not answer")
        try:
            return tokens.verify_token(token, key)
        except BadSignature:
            newer = self._newer_than(key)
        try:
            return tokens.verify_token(token, newer)
        except BadSignature:
            raise tokens.token_problem(401) from None

    def _newer_than(self, known: Any) -> Any:
        """One asks at a time; who waited for him takes what he got."""
        with self._lock:
            if self._key is known and self._clock() - self._asked_at >= REFETCH_SECONDS:
                try:
                    self._key = _loaded(self._fetch())
                except Unavailable as problem:
                    log.warning("token_key.not_fetched", reason=problem.detail, cause=repr(problem.__cause__))
                self._asked_at = self._clock()
            return self._key


def _loaded(pem: str) -> rsa.RSAPublicKey:
    try:
        key = serialization.load_pem_public_key(pem.encode())
    except (ValueError, UnsupportedAlgorithm) as error:
        raise Unavailable("the issuer's key cannot be read") from error
    if not isinstance(key, rsa.RSAPublicKey):
        raise Unavailable("the issuer's key is none for RS256")
    return key


def generate_key_pair() -> tuple[str, str]:
    """(private, public) as PEM."""
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return (
        private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ).decode(),
        private.public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        .decode(),
    )


def issue(private_pem: str, userid: str, max_datasets: int, now: datetime) -> str:
    claims = {
        "userid": userid,
        "permissions": {"max_dataset_num": max_datasets},
        "service": tokens.SERVICE,
        "exp": int(now.timestamp()) + LIFETIME_SECONDS,
    }
    return jwt.encode(claims, private_pem, algorithm=tokens.ALGORITHM)
