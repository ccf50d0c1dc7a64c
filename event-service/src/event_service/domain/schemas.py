"""Compiled JSON Schemas that payloads are validated against."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import jsonschema_rs

from chassis.errors import Invalid
from event_service.domain.events import PostedEvent
from event_service.domain.references import check_references

_MAX_MESSAGE_LENGTH = 500
# Of the schemas of one stream: an append may compile all of them.
MAX_SCHEMAS = 1000
MAX_TOTAL_BYTES = 1024 * 1024

Document = dict[str, Any] | bool


class Schema:
    """A compiled schema.

    References cannot leave the document. Patterns are matched in linear time, because a regular expression that
    backtracks would block all other requests of the process.
    """

    def __init__(self, document: Document) -> None:
        """Raise Invalid unless the document is a valid JSON Schema."""
        check_references(document)
        try:
            self._validator = jsonschema_rs.validator_for(
                document,
                pattern_options=jsonschema_rs.RegexOptions(),
                offline=True,
                # Error messages must not contain the payload.
                mask="the value",
            )
        except (ValueError, jsonschema_rs.ReferencingError) as error:
            raise Invalid(f"schema: {_first_line(error)}") from None

    def check(self, payload: dict[str, Any], field: str) -> None:
        """Raise Invalid with the path of the first violation; `field` is the path of the payload itself."""
        for error in self._validator.iter_errors(payload):
            path = ".".join([field, *map(str, error.instance_path)])
            raise Invalid.field(path, _first_line(error))


def _first_line(error: Exception) -> str:
    return str(getattr(error, "message", error)).split("\n", 1)[0][:_MAX_MESSAGE_LENGTH]


def check_total(count: int, size_bytes: int) -> None:
    """Raise Invalid if a stream would have too many schemas."""
    if count > MAX_SCHEMAS:
        raise Invalid(f"the schemas of a stream must be at most {MAX_SCHEMAS}; delete one first")
    if size_bytes > MAX_TOTAL_BYTES:
        raise Invalid(f"the schemas of a stream must have at most {MAX_TOTAL_BYTES} bytes in total; delete one first")


Schemas = Mapping[tuple[str, int], Schema]


def compile_schemas(documents: Mapping[tuple[str, int], str]) -> Schemas:
    return {key: Schema(json.loads(document)) for key, document in documents.items()}


def check_payloads(schemas: Schemas, events: Sequence[PostedEvent]) -> None:
    for index, event in enumerate(events):
        header = event["event"]
        schema = schemas.get((header["name"], int(header["version"])))
        if schema:
            schema.check(event["payload"], "payload" if len(events) == 1 else f"{index}.payload")


class SchemasChanged(Exception):
    """The append was validated against an outdated revision of the schemas of its stream."""

    def __init__(self, revision: int, *, is_first_append: bool) -> None:
        super().__init__(revision)
        self.revision, self.is_first_append = revision, is_first_append
