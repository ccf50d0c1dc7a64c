"""The OpenAPI document that is generated from the code."""

from typing import Any

import pytest
import yaml

from chassis.runtime.config import ServiceSettings
from chassis.web import openapi
from chassis.web.openapi import as_yaml


@pytest.fixture
def document() -> dict[str, Any]:
    from probe_service.app import API, create_app

    return openapi.document(create_app(ServiceSettings(database_url="postgresql://u@127.0.0.1:1/x")), API)


def test_document_is_valid_openapi_3_1(document: dict[str, Any]) -> None:
    """Validate with the schema in schemathesis, which must also recognize every operation."""
    import schemathesis
    from schemathesis.specs.openapi.definitions import OPENAPI_31_VALIDATOR

    OPENAPI_31_VALIDATOR.validate(document)
    operations = list(schemathesis.openapi.from_dict(document).get_all_operations())
    assert sorted(operation.ok().label for operation in operations) == [
        "GET /things/{name}",
        "POST /forms",
        "PUT /things/{name}",
    ]


def test_document_contains_the_types_of_the_routes(document: dict[str, Any]) -> None:
    operation = document["paths"]["/things/{name}"]["put"]
    parameters = {parameter["name"]: parameter for parameter in operation["parameters"] if "name" in parameter}
    assert set(parameters) == {"name", "limit", "offset"}
    references = [parameter["$ref"] for parameter in operation["parameters"] if "$ref" in parameter]
    assert references == ["#/components/parameters/Idempotency-Key", "#/components/parameters/X-Request-ID"]
    assert parameters["name"]["required"] is True
    assert parameters["limit"]["required"] is False
    limit = parameters["limit"]["schema"]
    assert (limit["type"], limit["minimum"], limit["maximum"], limit["default"]) == ("integer", 1, 1000, 100)
    body = operation["requestBody"]["content"]["application/json"]["schema"]
    assert body == {"$ref": "#/components/schemas/Thing"}
    assert document["components"]["schemas"]["Thing"]["additionalProperties"] is False
    assert operation["responses"]["400"] == {"$ref": "#/components/responses/InvalidRequest"}
    assert "application/problem+json" in document["components"]["responses"]["InvalidRequest"]["content"]
    form = document["paths"]["/forms"]["post"]["requestBody"]["content"]
    assert set(form) == {"application/x-www-form-urlencoded"}


def test_document_survives_a_round_trip_through_yaml(document: dict[str, Any]) -> None:
    assert yaml.safe_load(as_yaml(document)) == document
