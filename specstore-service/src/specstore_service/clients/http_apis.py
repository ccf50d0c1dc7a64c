"""HTTP APIs of other servers: the token issuer, and an external pipeline runner."""

import requests

from chassis.errors import Unavailable

_MAX_KEY_BYTES = 64 * 1024
_CONNECT_TIMEOUT_SECONDS, _READ_TIMEOUT_SECONDS, _REFRESH_TIMEOUT_SECONDS = 2, 3, 10


def fetch_public_key(auth_server: str) -> str:
    """Return the key as PEM. Raise Unavailable."""
    url = f"http://{auth_server}/auth/public-key"
    timeouts = (_CONNECT_TIMEOUT_SECONDS, _READ_TIMEOUT_SECONDS)
    try:
        with requests.get(url, timeout=timeouts, allow_redirects=False, stream=True) as response:
            response.raise_for_status()
            content: bytes = response.raw.read(_MAX_KEY_BYTES, decode_content=True)
            return content.decode("ascii")
    except (requests.RequestException, UnicodeDecodeError, OSError) as error:
        raise Unavailable("the token issuer is unreachable") from error


def refresh_pipelines(dpp_url: str) -> None:
    """Notify an external runner of new pipelines. Raise Unavailable."""
    url = f"{dpp_url.rstrip('/')}/api/refresh"
    timeouts = (_CONNECT_TIMEOUT_SECONDS, _REFRESH_TIMEOUT_SECONDS)
    try:
        response = requests.get(url, timeout=timeouts, allow_redirects=False)
    except requests.RequestException as error:
        raise Unavailable("the pipeline runner is unreachable") from error
    if response.status_code >= 400:
        raise Unavailable(f"the pipeline runner returned status {response.status_code}")
