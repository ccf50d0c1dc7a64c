"""The OpenAPI document that is generated from the code."""

from typing import Any

import pytest
import yaml
from flask import Blueprint
from pydantic import BaseModel, Field, create_model

from chassis.runtime.config import ServiceSettings
from chassis.web import app as web
from chassis.web import openapi
from chassis.web.endpoints import ResponseSpec, problem
from chassis.web.openapi import as_yaml
from chassis.web.openapi_components import Api
from chassis.web.validation import endpoint

TOKEN = {"type": "apiKey", "in": "header", "name": "X-Token"}


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


def describe(*routes: tuple[str, list[str], Any]) -> dict[str, Any]:
    """Return the document of an app with these routes: path, methods and view."""
    blueprint = Blueprint("routes", __name__)
    for path, methods, view in routes:
        blueprint.add_url_rule(path, view.__name__, view, methods=methods)
    app = web.create_app("probe", ServiceSettings(database_url="postgresql://u@127.0.0.1:1/x"), [blueprint])
    return openapi.document(app, Api("For tests", {}, {"token": TOKEN}))


def test_post_and_put_of_one_route_have_different_operation_ids() -> None:
    @endpoint("Send things", {202: ResponseSpec("Accepted")})
    def send_things() -> None: ...

    methods = describe(("/things", ["POST", "PUT"], send_things))["paths"]["/things"]
    ids = {method: operation["operationId"] for method, operation in methods.items()}
    assert ids == {"post": "send_things", "put": "send_things_with_put"}


def test_parameter_that_is_a_security_scheme_is_not_repeated() -> None:
    class Headers(BaseModel):
        token: str | None = Field(None, alias="X-Token")
        other: str | None = Field(None, alias="X-Other")

    @endpoint("Get things", {200: ResponseSpec("Things")}, headers=Headers, security=(("basic", "token"), ()))
    def get_things(headers: Headers) -> None: ...

    operation = describe(("/things", ["GET"], get_things))["paths"]["/things"]["get"]
    assert [parameter.get("name") for parameter in operation["parameters"]] == ["X-Other", None]
    assert operation["parameters"][0]["schema"] == {"type": "string"}  # neither null nor a default
    assert operation["security"] == [{"basic": [], "token": []}, {}]


def test_errors_of_the_gateway_are_added() -> None:
    @endpoint("Get things", {200: ResponseSpec("Things")}, security=())
    def get_things() -> None: ...

    @endpoint("Send things", {202: ResponseSpec("Accepted"), 503: problem("Unavailable", "Down")}, body=int)
    def send_things(body: int) -> None: ...

    paths = describe(("/open", ["GET"], get_things), ("/things", ["POST"], send_things))["paths"]
    from_all_paths = {"429", "502", "503", "504"}
    assert set(paths["/open"]["get"]["responses"]) == {"200"} | from_all_paths
    assert set(paths["/things"]["post"]["responses"]) == {"202", "401", "403", "413"} | from_all_paths
    assert paths["/things"]["post"]["responses"]["504"] == {"$ref": "#/components/responses/OutcomeUnknownOrTimeout"}


def test_errors_of_the_service_and_of_the_gateway_are_described_together() -> None:
    failed = ResponseSpec("It failed", {"type": "integer"}, name="Failed")

    @endpoint("Send things", {202: ResponseSpec("Accepted"), 401: failed, 403: failed})
    def send_things() -> None: ...

    responses = describe(("/things", ["POST"], send_things))["components"]["responses"]
    unauthorized, forbidden = responses["FailedOrUnauthorized"], responses["FailedOrRoleRequired"]
    alternatives = [{"type": "integer"}, {"type": "string", "const": "Unauthorized"}]
    assert unauthorized["content"] == {"application/json": {"schema": {"anyOf": alternatives}}}
    assert unauthorized["description"].startswith("It failed. From the gateway: ")
    assert set(forbidden["content"]) == {"application/json", "application/problem+json"}


def test_field_of_a_form_cannot_be_null() -> None:
    class Form(BaseModel):
        reason: str | None = None

    @endpoint("Send things", {202: ResponseSpec("Accepted")}, form=Form)
    def send_things(form: Form) -> None: ...

    schemas = describe(("/things", ["POST"], send_things))["components"]["schemas"]
    assert schemas["Form"]["properties"] == {"reason": {"type": "string"}}


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (ResponseSpec("", create_model("Thing", size=int)), ResponseSpec("", create_model("Thing", size=str))),
        (problem("Conflict", "One reason"), problem("Conflict", "Another reason")),
    ],
    ids=["schemas", "errors"],
)
def test_different_components_with_one_name_are_an_error(first: ResponseSpec, second: ResponseSpec) -> None:
    @endpoint("Get things", {200: first, 409: second})
    def get_things() -> None: ...

    with pytest.raises(ValueError, match=r"two .* are named"):
        describe(("/things", ["GET"], get_things))
