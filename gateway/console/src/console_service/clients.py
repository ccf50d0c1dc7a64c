"""HTTP calls to the services."""

import re
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from typing import Any, cast
from urllib.parse import quote, urlencode

import requests
from flask import g
from urllib3.exceptions import MaxRetryError, NewConnectionError, ProtocolError

from chassis import strictjson
from chassis.errors import Invalid, NotFound, Problem, Unavailable
from chassis.runtime import http_client
from chassis.web.app import role, this_app, username
from console_service.settings import Settings

_ADDRESS_END = re.compile(r"(\.sock|:\d+)?/?$")
_INVALID_SPEC = "Validation failed for contents: "


def fetch_reports(
    urls: Mapping[str, str], path: str, headers: Mapping[str, str], timeout_seconds: float
) -> dict[str, dict[str, Any]]:
    """Return the report of each service at `path`, requested in parallel; `urls` maps services to addresses."""
    with ThreadPoolExecutor(len(urls)) as pool:
        reports = pool.map(lambda service: fetch_report(service, urls[service], path, headers, timeout_seconds), urls)
        return dict(zip(urls, reports, strict=True))


def fetch_report(
    service: str, url: str, path: str, headers: Mapping[str, str], timeout_seconds: float
) -> dict[str, Any]:
    """Return the report of one service: an object with a `status`.

    A service that is unreachable, too slow, or returns anything else is reported as DOWN.
    """
    try:
        response = _request("GET", url, path, headers=headers, timeout=timeout_seconds)
        report = response.json()
    except requests.ConnectionError:
        return {"status": "DOWN", "service": service, "error": "unreachable"}
    except requests.Timeout:
        return {"status": "DOWN", "service": service, "error": f"no response within {timeout_seconds:g} s"}
    except (requests.RequestException, ValueError):
        return {"status": "DOWN", "service": service, "error": "the response is not a report"}
    if isinstance(report, dict) and isinstance(report.get("status"), str):
        return report
    return {"status": "DOWN", "service": service, "error": f"responded with {response.status_code} and no report"}


def identity_headers() -> dict[str, str]:
    """Return the headers that pass the user, the role and the request ID on to a service."""
    headers = {"X-Request-ID": g.request_id, "X-Authenticated-User": username(), "X-Authenticated-Role": role()}
    return {name: value for name, value in headers.items() if value}


def call(service: str, method: str, *path: str, **options: Any) -> Any:
    """Send a request and return the response's JSON; `options` are those of `send`."""
    response = send(service, method, *path, **options)
    return response.json() if response.content else None


def send(
    service: str,
    method: str,
    *path: str,
    query: Mapping[str, Any] | None = None,
    body: Any = None,
    key: str = "",
    headers: Mapping[str, str] | None = None,
    timeout_seconds: float | None = None,
    stream: bool = False,
    url: str | None = None,
) -> requests.Response:
    """Send a request to the API of a service as the user of the current request.

    `path` consists of segments, which are quoted; `key` is an Idempotency-Key; `url` is the address of a replica. With
    `stream`, the caller reads the body and closes the response. Raise the service's error as a Problem, and
    Unavailable if the service does not respond.
    """
    if {".", ".."} & {*path}:
        raise NotFound("a name must not be . or ..")  # the path would be that of another resource
    settings = cast(Settings, this_app().settings)
    all_headers = identity_headers() | ({"Idempotency-Key": key} if key else {}) | dict(headers or {})
    data = None
    if body is not None:
        all_headers["Content-Type"], data = "application/json", strictjson.dumps(body)
    target = "/" + "/".join(quote(segment, safe="") for segment in path)
    if query:
        target += "?" + urlencode(query)
    try:
        response = _request(
            method,
            url or settings.service_urls[service],
            target,
            data=data,
            headers={name: value.encode() for name, value in all_headers.items()},
            timeout=timeout_seconds or settings.page_timeout_seconds,
            stream=stream,
        )
    except requests.exceptions.InvalidHeader:
        raise Invalid("a name must not begin with a space, and must not contain line breaks") from None
    except requests.RequestException as error:
        raise Unavailable(f"{service} does not respond") from error
    if response.ok:
        return response
    raise _problem(service, response)


def _request(method: str, url: str, path: str, **options: Any) -> requests.Response:
    """Send a request to a service, or to the standby that takes its requests while `make upgrade` replaces it."""
    try:
        return http_client.request(method, url, path, **options)
    except requests.ConnectionError as error:
        if method != "GET" and not _was_never_sent(error):
            raise
        try:
            return http_client.request(method, _ADDRESS_END.sub(r"-standby\1", url, count=1), path, **options)
        except requests.RequestException:
            raise error from None


def _was_never_sent(error: requests.ConnectionError) -> bool:
    """Return whether no connection was made: to an address or to a Unix socket."""
    cause = error.args[0] if error.args else None
    if isinstance(cause, MaxRetryError):
        return isinstance(cause.reason, NewConnectionError)
    return isinstance(cause, ProtocolError) and isinstance(cause.args[-1], FileNotFoundError | ConnectionRefusedError)


def _problem(service: str, response: requests.Response) -> Problem:
    status = response.status_code
    try:
        detail, errors = _read_error(response.json())
        return Problem(detail, errors=errors, status=status)
    except (ValueError, KeyError, TypeError, AttributeError):
        return Problem(f"{service} responded with {status} {HTTPStatus(status).phrase}", status=status)


def _read_error(document: Any) -> tuple[str, list[tuple[str, str]]]:
    """Return the detail and the errors of fields, in each of the shapes that the contracts define."""
    if isinstance(document, str):  # event-service
        return _read_text(document)
    if "status_code" in document:  # orders-service
        message = document["message"]
        if isinstance(message, str):
            return message, []
        errors = [(field, text.removeprefix(f"{field} ")) for field, text in message.items()]
        return " ".join(message.values()), errors
    if "success" in document:  # an upload to specstore-service
        errors = [text.removeprefix(_INVALID_SPEC).partition(": ")[::2] for text in document["errors"]]
        is_invalid = all(text.startswith(_INVALID_SPEC) for text in document["errors"])
        return " ".join(document["errors"]), errors if is_invalid else []
    return document["detail"], [(error["field"], error["message"]) for error in document.get("errors", [])]


_TEXT = re.compile(r"([A-Z][A-Za-z ]*?)(?: - (.*))?", re.DOTALL)
# A message of one field, or several of them, each followed by "; " and the next one.
_FIELD_MESSAGES = re.compile(r"(?:^|; )([A-Za-z][\w.-]*): (.*?)(?=; [A-Za-z][\w.-]*: |$)", re.DOTALL)


def _read_text(text: str) -> tuple[str, list[tuple[str, str]]]:
    """Return the detail and the errors of fields of `"<reason phrase> - <error>"`."""
    if not (match := _TEXT.fullmatch(text)):
        raise ValueError("the text is not an error")
    detail = match[2] or match[1]
    has_fields = _FIELD_MESSAGES.match(detail)
    return detail, [(message[1], message[2]) for message in _FIELD_MESSAGES.finditer(detail)] if has_fields else []
