"""Reads for parts of a page that the rest does not wait for: they fail after the timeout of health requests."""

import socket
from typing import Any, cast
from urllib.parse import urlsplit

import requests

from chassis.errors import Problem, Unavailable
from chassis.runtime import http_client
from chassis.web.app import this_app
from console_service.clients import identity_headers
from console_service.settings import Settings


def read(service: str, target: str) -> Any:
    """Return the JSON at path and query `target` of a service; raise Problem if there is none."""
    return _read(service, _settings().service_urls[service], target)


def read_replicas(service: str, target: str) -> list[Any]:
    """Return the JSON of each replica of a service; raise Problem if one has none."""
    return [_read(service, url, target) for url in replica_urls(_settings().service_urls[service])]


def replica_urls(url: str) -> list[str]:
    """Return the address of each replica: with containers, the name of a service resolves to all of them."""
    parts = urlsplit(url)
    if parts.scheme != "http":
        return [url]
    try:
        entries = socket.getaddrinfo(parts.hostname, parts.port, socket.AF_INET, socket.SOCK_STREAM)
    except OSError:
        return [url]
    return sorted({f"http://{address[0]!s}:{parts.port}" for *_, address in entries})


def _read(service: str, url: str, target: str) -> Any:
    timeout = _settings().health_timeout_seconds
    try:
        response = http_client.request("GET", url, target, headers=identity_headers(), timeout=timeout)
        response.raise_for_status()
        return response.json()
    except requests.HTTPError as error:
        status = error.response.status_code
        raise Problem(f"{service} responded with {status}", status=status) from error
    except (requests.RequestException, ValueError) as error:
        raise Unavailable(f"{service} does not respond") from error


def _settings() -> Settings:
    return cast(Settings, this_app().settings)
