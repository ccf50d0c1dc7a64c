"""The references of a JSON Schema: how often a validation follows them is limited before the schema is compiled."""

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote

from chassis.errors import Invalid

_MAX_STEPS = 10_000
# Of all kinds, if some of them are not followed here: so few of them cannot double often.
_MAX_REFERENCES_OF_OTHER_KINDS = 20
_KEYWORDS = ("$ref", "$dynamicRef", "$recursiveRef")
_OLD_DRAFT = re.compile("/draft-0[34]/")
_INDEX = re.compile("[0-9]{1,6}\\Z")
# Their schemas apply to the same value as the schema that contains them.
_IN_PLACE_KEYWORDS = ("allOf", "anyOf", "oneOf", "not", "if", "then", "else")


def check_references(document: Any) -> None:
    """Raise Invalid if a validation may take too many steps to follow the references.

    1. Allow only a few references if some of them are not pointers, such as `#/$defs/line`, into the document.
    2. Reject loops of references that apply to the same value.
    3. Limit the expanded schema. If each of n definitions refers twice to the next one, a validation takes 2^n steps.
    """
    references = list(_references(document))
    if len(references) > _MAX_REFERENCES_OF_OTHER_KINDS and not _are_pointers(document, references):
        raise Invalid(
            f"schema: more than {_MAX_REFERENCES_OF_OTHER_KINDS} references must all be pointers into the schema, and "
            "only the whole schema may have an ID"
        )
    try:
        _reject_loops(document, {reference for _, reference in references})
        is_too_large = _count_steps(document) > _MAX_STEPS
    except RecursionError:
        is_too_large = True
    if is_too_large:
        raise Invalid(f"schema: its references must expand to at most {_MAX_STEPS} steps")


def _references(document: Any) -> Iterator[tuple[str, str]]:
    """Yield keyword and reference."""
    for node in _objects(document):
        yield from ((keyword, node[keyword]) for keyword in _KEYWORDS if isinstance(node.get(keyword), str))


def _objects(node: Any) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict):
        yield node
    for part in _parts(node):
        yield from _objects(part)


def _parts(node: Any) -> Iterator[Any]:
    if isinstance(node, dict):
        yield from node.values()
    elif isinstance(node, list):
        yield from node


def _are_pointers(document: Any, references: list[tuple[str, str]]) -> bool:
    # A part with an ID is a document of its own, within which pointers begin at this part.
    id_keyword = "id" if _OLD_DRAFT.search(str(document.get("$schema"))) else "$id"
    has_inner_id = any(isinstance(node.get(id_keyword), str) for part in _parts(document) for node in _objects(part))
    return not has_inner_id and all(
        keyword == "$ref" and _resolve(document, reference) is not None for keyword, reference in references
    )


def _resolve(document: Any, reference: str) -> Any:
    """Return the part of the document, None if the reference is not a pointer to one."""
    if reference == "#":
        return document
    if not reference.startswith("#/"):
        return None
    node = document
    for part in unquote(reference[2:]).split("/"):
        key = part.replace("~1", "/").replace("~0", "~")
        if isinstance(node, list):
            node = node[int(key)] if _INDEX.match(key) and int(key) < len(node) else None
        else:
            node = node.get(key) if isinstance(node, dict) else None
    return node


def _reject_loops(document: Any, references: set[str]) -> None:
    are_open: dict[str, bool] = {}

    def visit(reference: str) -> None:
        if are_open.get(reference):
            raise Invalid("schema: its references must not form a loop that applies to the same value")
        if reference not in are_open:
            are_open[reference] = True
            for next_reference in _in_place_references(_resolve(document, reference)):
                visit(next_reference)
            are_open[reference] = False

    for reference in references:
        visit(reference)


def _in_place_references(node: Any) -> Iterator[str]:
    if isinstance(node, list):
        for part in node:
            yield from _in_place_references(part)
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for keyword in _IN_PLACE_KEYWORDS:
            yield from _in_place_references(node.get(keyword))


def _count_steps(document: Any) -> int:
    """Return the number of nodes of the expanded schema, at most one more than the limit in each part."""
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
            if reference != "#":
                steps_by_reference[reference] = count_steps(_resolve(document, reference))
        return steps_by_reference[reference]

    return count_steps(document)
