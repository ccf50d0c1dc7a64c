import time

import pytest

from chassis.errors import Invalid
from event_service.domain.schemas import Schema


@pytest.mark.parametrize(
    "document",
    [
        {"type": "nonsense"},
        {"$ref": "#/$defs/nowhere"},
        {"$ref": "http://127.0.0.1:9/schema"},
        {"$ref": "file:///etc/passwd"},
        {"$schema": "http://127.0.0.1:9/schema"},
        {"pattern": "("},
        {"required": "a"},
    ],
)
def test_invalid_schema_and_external_reference_are_rejected(document):
    with pytest.raises(Invalid, match=r"^schema: "):
        Schema(document)


def test_error_names_the_path_of_the_first_violation():
    schema = Schema({"properties": {"lines": {"items": {"properties": {"price": {"maximum": 3}}}}}})
    schema.check({"lines": [{"price": 3}]}, "payload")
    with pytest.raises(Invalid, match=r"^payload\.lines\.1\.price: "):
        schema.check({"lines": [{"price": 3}, {"price": 4}]}, "payload")


def test_error_does_not_contain_the_payload():
    with pytest.raises(Invalid) as caught:
        Schema({"properties": {"a": {"type": "integer"}}}).check({"a": "secret" * 1000}, "payload")
    assert "secret" not in caught.value.detail and len(caught.value.detail) < 600


@pytest.mark.parametrize("pattern", ["^(a+)+$", "^(a|aa)+$", "(x+x+)+y"])
def test_pattern_prone_to_backtracking_is_matched_in_linear_time(pattern):
    schema = Schema({"properties": {"a": {"pattern": pattern}}})
    start = time.monotonic()
    with pytest.raises(Invalid):
        schema.check({"a": "a" * 50_000 + "x" * 50_000 + "!"}, "payload")
    assert time.monotonic() - start < 20


def _twice(reference):
    return {"allOf": [{"$ref": reference}, {"$ref": reference}]}


@pytest.mark.parametrize(
    "document",
    [
        {"$ref": "#/$defs/0", "$defs": {**{str(i): _twice(f"#/$defs/{i + 1}") for i in range(40)}, "40": {}}},
        {"$ref": "#/$defs/0", "$defs": {**{str(i): _twice(f"#/%24defs/{i + 1}") for i in range(40)}, "40": {}}},
        {"$ref": "#/x/0", "x": [*(_twice(f"#/x/{i + 1}") for i in range(40)), {}]},
        {"$ref": "#/$defs/0", "$defs": {str(i): {"$ref": f"#/$defs/{i + 1}"} for i in range(5000)} | {"5000": {}}},
    ],
)
def test_references_that_expand_to_too_many_steps_are_rejected(document):
    with pytest.raises(Invalid, match="references must expand to at most"):
        Schema(document)


@pytest.mark.parametrize(
    "document",
    [
        {
            "$ref": "#a0",
            "$defs": {str(i): {"$anchor": f"a{i}", **_twice(f"#a{i + 1}")} for i in range(40)}
            | {"40": {"$anchor": "a40"}},
        },
        {
            "$ref": "urn:0",
            "$defs": {str(i): {"$id": f"urn:{i}", **_twice(f"urn:{i + 1}")} for i in range(40)}
            | {"40": {"$id": "urn:40"}},
        },
        {
            "$dynamicRef": "#a0",
            "$defs": {
                str(i): {"$dynamicAnchor": f"a{i}", "allOf": [{"$dynamicRef": f"#a{i + 1}"}] * 2} for i in range(40)
            }
            | {"40": {"$dynamicAnchor": "a40"}},
        },
        {
            "$ref": "#/$defs/inner",
            "$defs": {
                "inner": {
                    "$id": "urn:inner",
                    "$ref": "#/$defs/0",
                    "$defs": {**{str(i): _twice(f"#/$defs/{i + 1}") for i in range(40)}, "40": {}},
                },
                **{str(i): {} for i in range(41)},
            },
        },
    ],
)
def test_many_references_that_are_not_pointers_into_the_schema_are_rejected(document):
    with pytest.raises(Invalid, match="references must all be pointers"):
        Schema(document)


def test_a_few_references_of_any_kind_are_accepted():
    definitions = {"b": {"$anchor": "b", "type": "string"}, "c": {"$id": "urn:c", "type": "integer"}}
    schema = Schema({"properties": {"a": {"$ref": "#b"}, "c": {"$ref": "urn:c"}}, "$defs": definitions})
    schema.check({"a": "b", "c": 1}, "payload")
    with pytest.raises(Invalid, match=r"^payload\.c: "):
        schema.check({"c": "1"}, "payload")


@pytest.mark.parametrize(
    "document",
    [
        {"$ref": "#"},
        {"anyOf": [{"type": "object"}, {"not": {"$ref": "#"}}]},
        {
            "$ref": "#/$defs/0",
            "$defs": {str(i): {"allOf": [{"$ref": f"#/$defs/{j}"} for j in range(6) if j != i]} for i in range(6)},
        },
    ],
)
def test_loop_of_references_that_apply_to_the_same_value_is_rejected(document):
    with pytest.raises(Invalid, match="must not form a loop"):
        Schema(document)


def test_recursive_schema_is_accepted():
    schema = Schema({"properties": {"child": {"$ref": "#"}, "n": {"type": "integer"}}})
    schema.check({"child": {"child": {"n": 1}}}, "payload")
    with pytest.raises(Invalid, match=r"^payload\.child\.child\.n: "):
        schema.check({"child": {"child": {"n": "1"}}}, "payload")


def test_numbers_are_compared_by_value():
    schema = Schema({"properties": {"n": {"type": "integer", "maximum": 10**20}}})
    schema.check({"n": 2.0}, "payload")
    with pytest.raises(Invalid):
        schema.check({"n": 10**30}, "payload")
