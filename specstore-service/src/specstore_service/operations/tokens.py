"""Tokens: the key that verifies them, and the built-in issuer."""

import functools
import threading
import time
from collections.abc import Callable
from datetime import datetime
from typing import cast

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
# Limits the requests that forged tokens can cause at the issuer.
REFETCH_SECONDS = 1.0


class Keyring:
    """The cached public key. It is fetched again when a signature fails, and kept while the issuer is unreachable."""

    def __init__(self, fetch: Callable[[], str], clock: Callable[[], float] = time.monotonic) -> None:
        self._fetch, self._clock = fetch, clock
        self._lock = threading.Lock()
        self._key: rsa.RSAPublicKey | None = None
        self._last_fetch_at = float("-inf")

    def check(self, token: str | None) -> Bearer:
        """Return the bearer. Raise Problem (401), or Unavailable if no key has been fetched yet."""
        if not token:
            raise tokens.token_problem(401)
        key = self._key or self._refetch(None)
        if key is None:
            raise Unavailable("the token issuer is unreachable")
        try:
            return tokens.verify_token(token, key)
        except BadSignature:
            new_key = self._refetch(key) or key
        try:
            return tokens.verify_token(token, new_key)
        except BadSignature:
            raise tokens.token_problem(401) from None

    def _refetch(self, old_key: rsa.RSAPublicKey | None) -> rsa.RSAPublicKey | None:
        """Return a newer key if there is one. Only one caller fetches at a time; the others use its result."""
        with self._lock:
            if self._key is old_key and self._clock() - self._last_fetch_at >= REFETCH_SECONDS:
                try:
                    self._key = _load_key(self._fetch())
                except Unavailable as problem:
                    log.warning("token_key.not_fetched", reason=problem.detail, cause=repr(problem.__cause__))
                self._last_fetch_at = self._clock()
            return self._key


def _load_key(pem: str) -> rsa.RSAPublicKey:
    try:
        key = serialization.load_pem_public_key(pem.encode())
    except (ValueError, UnsupportedAlgorithm) as error:
        raise Unavailable("the issuer's key must be a public key as PEM") from error
    if not isinstance(key, rsa.RSAPublicKey):
        raise Unavailable("the issuer's key must be an RSA key")
    return key


def generate_key_pair() -> tuple[str, str]:
    """Return (private, public) as PEM."""
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
    return jwt.encode(claims, load_private_key(private_pem), algorithm=tokens.ALGORITHM)


@functools.cache
def load_private_key(pem: str) -> rsa.RSAPrivateKey:
    """Return a key of `generate_key_pair`. It is cached because loading one takes longer than signing many tokens."""
    return cast(rsa.RSAPrivateKey, serialization.load_pem_private_key(pem.encode(), None))
