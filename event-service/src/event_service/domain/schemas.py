"""JSON Schemas that payloads are checked against, compiled."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import jsonschema_rs

from chassis.errors import Invalid
from event_service.domain.events import PostedEvent

_LONGEST_MESSAGE = 500
_MOST_STEPS = 10_000

Document = dict[str, Any] | bool


class Schema:
    """References reach nothing outside the document, and patterns are matched in linear time: a regular expression

    that backtracks would stop every other request of the process.
    """

    def __init__(self, document: Document) -> None:
        """Raises Invalid for what is no JSON Schema."""
        _refuse_explosion(document)
        try:
            self._validator = jsonschema_rs.validator_for(
                document,
                pattern_options=jsonschema_rs.RegexOptions(),
                offline=True,
                mask="the value",
            )
        except (ValueError, jsonschema_rs.ReferencingError) as error:
            raise Invalid(f"schema: {_first_line(error)}") from None

    def check(self, payload: dict[str, Any], where: str) -> None:
        """Raises Invalid with the path of the first violation."""
        for error in self._validator.iter_errors(payload):
            path = ".".join([where, *map(str, error.instance_path)])
            raise Invalid.field(path, _first_line(error))


def _first_line(error: Exception) -> str:
    return str(getattr(error, "message", error)).split("\n", 1)[0][:_LONGEST_MESSAGE]


def _refuse_explosion(document: Document) -> None:
    """References that double at each step would take for ever: as many steps as there are paths through them."""
    definitions = document.get("$defs", document.get("definitions")) if isinstance(document, dict) else None
    known: dict[str, int] = {}

    def steps(node: Any) -> int:
        if isinstance(node, list):
            return 1 + sum(map(steps, node))
        if not isinstance(node, dict):
            return 1
        count = 1 + sum(steps(value) for key, value in node.items() if value is not definitions or key == "$ref")
        reference = node.get("$ref")
        if isinstance(reference, str):
            count += steps_behind(reference)
        return min(count, _MOST_STEPS + 1)

    def steps_behind(reference: str) -> int:
        if reference not in known:
            # A reference back into itself goes one level deeper into the payload each time: that ends.
            known[reference] = 1
            known[reference] = steps(_behind(document, reference))
        return known[reference]

    if steps(document) > _MOST_STEPS:
        raise Invalid(f"schema: its references take more than {_MOST_STEPS} steps")


def _behind(document: Document, reference: str) -> Any:
    node: Any = document
    if not reference.startswith("#/"):
        return None
    for part in reference[2:].split("/"):
        key = part.replace("~1", "/").replace("~0", "~")
        node = node.get(key) if isinstance(node, dict) else None
    return node


Schemas = Mapping[tuple[str, int], Schema]


def compiled(documents: Mapping[tuple[str, int], str]) -> Schemas:
    return {key: Schema(json.loads(document)) for key, document in documents.items()}


def check_payloads(schemas: Schemas, events: Sequence[PostedEvent]) -> None:
    for index, event in enumerate(events):
        head = event["event"]
        schema = schemas.get((head["name"], int(head["version"])))
        if schema:
            schema.check(event["payload"], "payload" if len(events) == 1 else f"{index}.payload")


class SchemasChanged(Exception):
    """The stream has schemas of another revision than the append was validated against."""

    def __init__(self, revision: int, *, is_first_append: bool) -> None:
        super().__init__(revision)
        self.revision, self.is_first_append = revision, is_first_append
