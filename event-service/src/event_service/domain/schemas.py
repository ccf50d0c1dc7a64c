"""Compiled JSON Schemas that payloads are validated against."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import jsonschema_rs

from chassis.errors import Invalid
from event_service.domain.events import PostedEvent

_MAX_MESSAGE_LENGTH = 500
_MAX_STEPS = 10_000
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
        _check_reference_steps(document)
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


def _check_reference_steps(document: Document) -> None:
    """Raise Invalid if the references expand to too many steps.

    If each of n definitions refers twice to the next one, a validation takes 2^n steps.
    """
    definitions = document.get("$defs", document.get("definitions")) if isinstance(document, dict) else None
    steps_by_reference: dict[str, int] = {}

    def count_steps(node: Any) -> int:
        if isinstance(node, list):
            return 1 + sum(map(count_steps, node))
        if not isinstance(node, dict):
            return 1
        count = 1 + sum(count_steps(value) for key, value in node.items() if value is not definitions or key == "$ref")
        reference = node.get("$ref")
        if isinstance(reference, str):
            count += count_referenced_steps(reference)
        return min(count, _MAX_STEPS + 1)

    def count_referenced_steps(reference: str) -> int:
        if reference not in steps_by_reference:
            # A recursive reference counts as one step: each recursion descends one level in the payload, so it ends.
            steps_by_reference[reference] = 1
            steps_by_reference[reference] = count_steps(_resolve(document, reference))
        return steps_by_reference[reference]

    if count_steps(document) > _MAX_STEPS:
        raise Invalid(f"schema: its references must expand to at most {_MAX_STEPS} steps")


def _resolve(document: Document, reference: str) -> Any:
    node: Any = document
    if not reference.startswith("#/"):
        return None
    for part in reference[2:].split("/"):
        key = part.replace("~1", "/").replace("~0", "~")
        node = node.get(key) if isinstance(node, dict) else None
    return node


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
