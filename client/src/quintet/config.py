"""The URL of the gateway: passed by the caller, in `QUINTET_URL`, or in the file that `quintet login` keeps."""

from __future__ import annotations

import json
import os
import secrets
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit

from quintet.errors import NotConfigured

ENVIRONMENT_VARIABLE = "QUINTET_URL"


@dataclass(frozen=True)
class ServerAddress:
    """The URL of the gateway without credentials, and the credentials."""

    url: str
    user: str
    password: str = field(repr=False)


def parse_url(url: str) -> ServerAddress:
    """Return the parts of `http://user:password@host:port`; raise NotConfigured if one of them is missing."""
    try:
        parts = urlsplit(url.strip())
        host = parts.netloc.rpartition("@")[2]
        is_valid = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        is_valid = False
    # Neither message contains the URL, because it contains a password.
    if not is_valid:
        raise NotConfigured("the URL must have the form http://user:password@host:port")
    if not parts.username or parts.password is None:
        raise NotConfigured("the URL must contain the user name and the password: http://user:password@host:port")
    return ServerAddress(
        f"{parts.scheme}://{host}{parts.path.rstrip('/')}", unquote(parts.username), unquote(parts.password)
    )


def login_file() -> Path:
    """Return the path of the file that `quintet login` keeps."""
    try:
        folder = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    except RuntimeError:
        # In a container, the user may have neither a name nor HOME.
        raise NotConfigured(
            f"the home folder is unknown: set HOME, XDG_CONFIG_HOME or {ENVIRONMENT_VARIABLE}"
        ) from None
    return Path(folder) / "quintet" / "login.json"


def find_url(url: str | None = None) -> str:
    """Return the URL that was passed, or else the configured one; raise NotConfigured if there is none."""
    if configured := url or os.environ.get(ENVIRONMENT_VARIABLE):
        return configured
    file = login_file()
    try:
        stored = json.loads(file.read_text(encoding="utf-8"))["url"]
    except FileNotFoundError:
        raise NotConfigured(
            f"a URL is required: run `quintet login URL`, set {ENVIRONMENT_VARIABLE}, or pass a URL to the client"
        ) from None
    except (OSError, ValueError, KeyError, TypeError):
        raise NotConfigured(f"{file} must be readable, and contain a URL: run `quintet login URL` again") from None
    return str(stored)


def save_login(url: str) -> Path:
    """Store the URL for later programs of this user, who alone may read the file; return its path."""
    parse_url(url)
    file = login_file()
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    temporary = file.with_name(f"{file.name}.{secrets.token_hex(8)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with open(descriptor, "w", encoding="utf-8") as stream:
            json.dump({"url": url}, stream)
        temporary.replace(file)
    finally:
        # After a failure, it would contain the password.
        temporary.unlink(missing_ok=True)
    return file


def delete_login() -> bool:
    """Delete the stored URL; return whether one was stored."""
    try:
        login_file().unlink()
    except FileNotFoundError:
        return False
    return True
