"""Decode JSON into dataclasses. Fields that a class does not have are ignored, so that services may add some."""

from __future__ import annotations

import dataclasses
import functools
import math
import re
import types
import typing
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any, TypeVar, cast

from quintet.errors import QuintetError

Decoder = Callable[[Any], Any]
T = TypeVar("T")

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


def decode(class_: type[T], document: Any) -> T:
    """Return an instance of the dataclass, whose nested objects are decoded too; raise QuintetError if it does not fit.

    Only another program than Quintet, or an older one, sends such a document.
    """
    try:
        # To mypy, a class of a type variable is not hashable.
        instance: T = _object_decoder(cast(Any, class_))(document)
    except (ArithmeticError, AttributeError, TypeError, ValueError) as error:
        raise QuintetError(f"the response must be a {class_.__name__} of Quintet: {error}") from error
    return instance


@functools.cache
def _object_decoder(class_: Any) -> Decoder:
    hints = typing.get_type_hints(class_)
    fields = [
        (field.name, field.metadata.get("json", field.name), _decoder(hints[field.name]))
        for field in dataclasses.fields(class_)
        if field.init and not field.metadata.get("is_local")
    ]

    def decode_object(document: Any) -> Any:
        return class_(
            **{
                name: document[key] if decoder is None or document[key] is None else decoder(document[key])
                for name, key, decoder in fields
                if key in document
            }
        )

    return decode_object


def _decoder(annotation: Any) -> Decoder | None:
    """Return None for values that JSON represents as they are."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (typing.Union, types.UnionType):
        decoders = [decoder for decoder in map(_decoder, arguments) if decoder]
        return decoders[0] if len(decoders) == 1 else None
    if annotation is datetime:
        return parse_time
    if dataclasses.is_dataclass(annotation):
        return _object_decoder(cast(Any, annotation))
    if origin in (list, dict) and (item := _decoder(arguments[-1])):
        return _list_decoder(item) if origin is list else _dict_decoder(item)
    return None


def _list_decoder(item: Decoder) -> Decoder:
    return lambda values: [item(value) for value in values]


def _dict_decoder(item: Decoder) -> Decoder:
    return lambda values: {key: item(value) for key, value in values.items()}


def parse_time(value: str | float) -> datetime:
    """Return the aware time of RFC 3339 text, or of a number of Unix seconds."""
    if not isinstance(value, str):
        # Unlike `fromtimestamp`, this accepts every year of datetime on every platform.
        return _EPOCH + timedelta(seconds=value)
    # Before 3.11, Python accepts only 3 or 6 digits and no Z.
    text = re.sub(r"[zZ]$", "+00:00", value)
    text = re.sub(r"\.(\d+)", lambda match: f".{match[1][:6].ljust(6, '0')}", text)
    time = datetime.fromisoformat(text)
    return time if time.tzinfo else time.replace(tzinfo=timezone.utc)


def format_time(value: datetime | str) -> str:
    """Return the time as RFC 3339 text; text is passed to the service unchanged."""
    if isinstance(value, str):
        return value
    return _aware(value).isoformat()


def unix_seconds(value: datetime | str | float) -> int:
    """Return the time in whole Unix seconds."""
    if isinstance(value, (int, float)):
        return math.floor(value)
    time = parse_time(value) if isinstance(value, str) else _aware(value)
    return (time - _EPOCH) // timedelta(seconds=1)


def _aware(value: datetime) -> datetime:
    if value.tzinfo is None:
        raise ValueError("a time must have a time zone, such as datetime.now(timezone.utc)")
    return value
