"""List, requeue and discard dead letters through the gateway."""

from collections.abc import Mapping
from urllib.parse import quote, urlencode

from quintet_local import gateway

_MAX_BODY_LENGTH = 1000
# The gateway lists the first dead letters of a queue.
_MAX_LISTED = 100


def print_queue(settings: Mapping[str, str], queue: str) -> None:
    """Print each dead letter with its ID, request ID, reason and body, and the number of dead letters."""
    letters = gateway.fetch_json(settings, "GET", f"/dead-letters/{quote(queue)}")["dead_letters"]
    for letter in letters:
        print(f"{queue}  {letter['id']}  request {letter['request_id']}  {letter['reason']}")
        print("    " + letter["body"][:_MAX_BODY_LENGTH])
    print(f"{queue}: {_describe_count(len(letters))}{' or more' if len(letters) == _MAX_LISTED else ''}")


def move(settings: Mapping[str, str], action: str, queue: str, message: str) -> None:
    """Requeue (`retry`) or discard the dead letters of a queue, or one of them."""
    method, suffix, verb = {"retry": ("POST", "/retry", "requeued"), "discard": ("DELETE", "", "discarded")}[action]
    query = f"?{urlencode({'id': message})}" if message else ""
    count = gateway.fetch_json(settings, method, f"/dead-letters/{quote(queue)}{suffix}{query}")["count"]
    print(f"{queue}: {_describe_count(count)} {verb}")


def _describe_count(count: int) -> str:
    return f"{count} dead letter{'' if count == 1 else 's'}"
