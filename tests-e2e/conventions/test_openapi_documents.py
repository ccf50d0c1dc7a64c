"""Rules that every OpenAPI document keeps, so that tools accept it and its examples are correct."""

import re
from http import HTTPMethod

import pytest
import yaml
from jsonschema import Draft202012Validator

from quintet_e2e.checkout import CHECKOUT, all_services

FILES = {service.name: service.folder / "openapi.yaml" for service in all_services()}
FILES["console"] = CHECKOUT / "gateway" / "console" / "openapi.yaml"
# There is no example of a file that is not text.
WORKBOOK = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


@pytest.fixture(params=FILES)
def text(request):
    return FILES[request.param].read_text(encoding="utf-8")


@pytest.fixture
def document(text):
    return yaml.safe_load(text)


@pytest.fixture
def operations(document):
    return {
        operation["operationId"]: operation | {"path": path}
        for path, by_method in document["paths"].items()
        for method, operation in by_method.items()
        if method.upper() in HTTPMethod.__members__
    }


def violations(document, schema, example):
    validator = Draft202012Validator({**schema, "components": document["components"]})
    return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(example)]


def examples_of(media_type):
    if "example" in media_type:
        return [media_type["example"]]
    return [example["value"] for example in media_type.get("examples", {}).values()]


def test_operation_ids_are_unique_and_read_as_method_names(document, operations):
    assert len(operations) == sum(len(by_method) for by_method in document["paths"].values())
    assert [name for name in operations if not re.fullmatch("[a-z]+(_[a-z]+)+", name)] == []


def test_every_operation_is_described_and_has_a_tag(document, operations):
    tags = {tag["name"]: tag["description"] for tag in document["tags"]}
    assert {tag for operation in operations.values() for tag in operation["tags"]} == set(tags)
    assert all(description.endswith(".") for description in tags.values())
    for name, operation in operations.items():
        assert len(operation["tags"]) == 1, name
        assert operation["summary"] and not operation["summary"].endswith("."), name
        assert operation["description"].endswith("."), name
        assert operation["description"].rstrip(".") != operation["summary"], name


def test_parameters_are_complete(document, operations):
    shared = {f"#/components/parameters/{name}": part for name, part in document["components"]["parameters"].items()}
    for name, operation in operations.items():
        parameters = [shared.get(parameter.get("$ref"), parameter) for parameter in operation["parameters"]]
        assert "X-Request-ID" in [parameter["name"] for parameter in parameters], name
        in_path = [parameter["name"] for parameter in parameters if parameter["in"] == "path"]
        assert in_path == re.findall(r"\{(\w+)\}", operation["path"]), name
        for parameter in parameters:
            assert parameter.get("description"), (name, parameter["name"])
            # Clients would send it.
            assert parameter["schema"].get("default", "any") not in (None, ""), (name, parameter["name"])


def test_every_request_and_successful_response_has_a_valid_example(document, operations):
    for name, operation in operations.items():
        contents = operation.get("requestBody", {}).get("content", {}) | {
            f"{status} {content_type}": media_type
            for status, response in operation["responses"].items()
            if status.startswith("2")
            for content_type, media_type in response.get("content", {}).items()
        }
        for content_type, media_type in contents.items():
            assert examples_of(media_type) or content_type == WORKBOOK, (name, content_type)
            for example in examples_of(media_type):
                assert violations(document, media_type["schema"], example) == [], (name, content_type)


def test_examples_of_schemas_and_parameters_are_valid(document, operations):
    schemas = [*document["components"]["schemas"].values()]
    schemas += [
        parameter["schema"]
        for operation in operations.values()
        for parameter in operation["parameters"]
        if "schema" in parameter
    ]
    schemas += [property_ for schema in schemas for property_ in schema.get("properties", {}).values()]
    for schema in schemas:
        for example in schema.get("examples", []):
            assert violations(document, schema, example) == []


def test_errors_are_described_once(document, operations):
    for name, operation in operations.items():
        errors = {status: response for status, response in operation["responses"].items() if status.startswith("4")}
        assert errors and all("$ref" in response for response in errors.values()), name


def test_errors_that_depend_on_the_request_are_described(operations):
    for name, operation in operations.items():
        statuses = set(operation["responses"])
        assert "requestBody" not in operation or "413" in statuses, name
        has_key = {"$ref": "#/components/parameters/Idempotency-Key"} in operation["parameters"]
        assert not has_key or {"409", "422"} <= statuses, name
        in_path = [parameter for parameter in operation["parameters"] if parameter.get("in") == "path"]
        # An integer out of range, for instance, or a name with a control character.
        assert not in_path or {"400", "404"} & statuses, name


def test_security_schemes_are_those_that_the_gateway_and_the_tokens_require(document, operations):
    assert document["security"] == [{"basic": []}]
    assert document["components"]["securitySchemes"]["basic"]["scheme"] == "basic"
    is_open = {name for name, operation in operations.items() if operation.get("security") == []}
    assert is_open <= {"get_liveness", "get_readiness", "get_public_key"}
    for operation in operations.values():
        assert all("basic" in alternative for alternative in operation.get("security", []))


def test_document_names_license_version_and_servers(document, text):
    assert document["info"]["license"] == {"name": "MIT", "identifier": "MIT"}
    assert (CHECKOUT / "LICENSE").read_text().startswith("MIT License")
    assert document["info"]["version"] == (CHECKOUT / "VERSION").read_text().strip()
    assert document["servers"][0]["url"] == "/"
    assert "&id0" not in text  # an alias of YAML
    assert not [name for name in document["components"]["schemas"] if name.startswith("_")]
