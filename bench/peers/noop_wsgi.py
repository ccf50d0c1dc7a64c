"""The least that a WSGI application can do: respond with a constant."""

from collections.abc import Callable, Iterable
from typing import Any

BODY = b'{"sequence_no":1000,"sequence_list":[1000]}'
HEADERS = [("Content-Type", "application/json"), ("Content-Length", str(len(BODY)))]


def app(_environ: dict[str, Any], start_response: Callable[[str, list[tuple[str, str]]], object]) -> Iterable[bytes]:
    start_response("200 OK", HEADERS)
    return [BODY]
