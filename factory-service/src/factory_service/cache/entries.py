"""What stands in Redis: a hash for each thing, with a token and an answer for each way of asking for it."""

import secrets
import time
from collections.abc import Callable
from typing import NamedTuple

from factory_service.store.trust import State

LARGEST_BYTES = 4 * 1024 * 1024
KEPT_SECONDS = 86400
FILL_MILLISECONDS = 3000
# Ways of asking for one thing that are kept beside each other.
_MOST_FIELDS = 200

_BEGIN = """
local known = redis.call('HGET', KEYS[1], ARGV[1])
if known then return {known} end
redis.call('HSETNX', KEYS[1], 't', ARGV[2])
redis.call('EXPIRE', KEYS[1], ARGV[4])
local first = redis.call('SET', KEYS[2], '1', 'NX', 'PX', ARGV[3])
return {false, redis.call('HGET', KEYS[1], 't'), first and 1 or 0}
"""
_PUT = """
redis.call('DEL', KEYS[2])
if redis.call('HGET', KEYS[1], 't') ~= ARGV[1] then return 0 end
if redis.call('HLEN', KEYS[1]) > tonumber(ARGV[5]) then
    redis.call('DEL', KEYS[1])
    redis.call('HSET', KEYS[1], 't', ARGV[1])
end
redis.call('HSET', KEYS[1], 'e', ARGV[4], ARGV[2], ARGV[3])
return 1
"""


class Entry(NamedTuple):
    """`age_seconds` is told only where it may be old: Postgres cannot be asked."""

    tag: str
    body: bytes
    age_seconds: int | None = None


Loaded = tuple[str, str] | None
Load = Callable[[bool], Loaded]


def key_of(state: State, entity: str) -> str:
    return f"quintet:factory:{state.generation}:{entity}"


def _packed(tag: str, body: bytes) -> bytes:
    return b"%b %d\n%b" % (tag.encode(), int(time.time()), body)


def unpacked(raw: bytes, *, is_old: bool) -> Entry:
    head, _, body = raw.partition(b"\n")
    tag, stored_at = head.decode().split(" ")
    return Entry(tag, body, max(0, int(time.time()) - int(stored_at)) if is_old else None)


def entry_of(loaded: tuple[str, str] | None) -> Entry | None:
    return Entry(loaded[0], loaded[1].encode()) if loaded else None


def put(key: str, lock: str, token: str | bytes, way: str, entry: Entry) -> tuple[object, ...]:
    packed = _packed(entry.tag, entry.body)
    return ("EVAL", _PUT, 2, key, lock, token, way, packed, entry.tag, _MOST_FIELDS)


def begin(key: str, lock: str, way: str) -> tuple[object, ...]:
    """The answer where it is there by now; else the token, and whether nobody else is about to put it."""
    return ("EVAL", _BEGIN, 2, key, lock, way, secrets.token_hex(8), FILL_MILLISECONDS, KEPT_SECONDS)
