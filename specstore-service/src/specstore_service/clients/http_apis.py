"""Neighbours: who issues tokens, for its public key; an external runner, to look again."""

import requests

from chassis.errors import Unavailable

_MAX_KEY_BYTES = 64 * 1024
_CONNECT_TIMEOUT_SECONDS, _READ_TIMEOUT_SECONDS = 2, 3


def fetch_public_key(auth_server: str) -> str:
    """As PEM. Raises Unavailable."""
    url = f"http://{auth_server}/auth/public-key"
    try:
        with requests.get(
            url, timeout=(_CONNECT_TIMEOUT_SECONDS, _READ_TIMEOUT_SECONDS), allow_redirects=False, stream=True
        ) as answer:
            answer.raise_for_status()
            raw = answer.raw.read(_MAX_KEY_BYTES, decode_content=True)
            return raw.decode("ascii")
    except (requests.RequestException, UnicodeDecodeError, OSError) as error:
        raise Unavailable("the issuer of tokens does not answer") from error


def refresh_pipelines(dpp_url: str) -> None:
    """Tells an external runner that there is something new. Raises Unavailable."""
    url = f"{dpp_url.rstrip('/')}/api/refresh"
    try:
        answer = requests.get(url, timeout=(_CONNECT_TIMEOUT_SECONDS, 10), allow_redirects=False)
    except requests.RequestException as error:
        raise Unavailable("the runner of pipelines does not answer") from error
    if answer.status_code >= 400:
        raise Unavailable(f"the runner of pipelines answers {answer.status_code}")
