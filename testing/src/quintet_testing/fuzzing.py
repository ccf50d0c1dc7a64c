"""Fuzzing: schemathesis generates requests from an app's own OpenAPI document."""

from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from flask import Flask
from werkzeug.exceptions import HTTPException

if TYPE_CHECKING:
    from schemathesis import Case


_REQUEST_ID = {"$ref": "#/components/parameters/X-Request-ID"}


def fuzz(
    app: Flask,
    *,
    stricter_than_schema: tuple[str, ...] = (),
    validated_later: tuple[str, ...] = (),
    max_examples: int = 25,
) -> None:
    """Send valid and invalid requests to every operation: each response must be documented, and none may be a 5xx.

    `stricter_than_schema` names operations with rules that no schema can express, and `validated_later` those that
    accept a body before a worker validates it.
    """
    import hypothesis
    import schemathesis
    import yaml
    from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance

    settings = hypothesis.settings(max_examples=max_examples)
    # The gateway authenticates requests, not the service.
    document = {**yaml.safe_load(app.test_client().get("/openapi.yaml").data), "security": []}
    for operations in document["paths"].values():
        for operation in operations.values():
            operation.pop("security", None)
    schema = schemathesis.openapi.from_dict(document)
    schema.app = app

    router = app.url_map.bind("localhost")

    def check(case: "Case[Any]") -> None:
        # An ID ends with the method if a route has two.
        operation_id = case.operation.definition.raw["operationId"].removesuffix("_with_put")
        try:
            endpoint, _ = router.match(unquote(case.formatted_path), case.method)
        except HTTPException:
            endpoint = ""
        if endpoint.rpartition(".")[2] != operation_id:
            # With the generated parameters, the path is that of another operation or of none.
            return
        exclusions = {
            positive_data_acceptance: operation_id in stricter_than_schema,
            # A worker validates CSV too, and any generated body is a string, which is all that the schema asks for.
            negative_data_rejection: operation_id in validated_later or case.media_type == "text/csv",
        }
        case.call_and_validate(excluded_checks=[check for check, excluded in exclusions.items() if excluded])

    for result in schema.get_all_operations():
        operation = result.ok()  # type: ignore[union-attr]
        for mode in schemathesis.GenerationMode:
            raw = operation.definition.raw
            if mode.is_negative and raw["parameters"] == [_REQUEST_ID] and "requestBody" not in raw:
                # Such a request cannot be invalid: any request ID is accepted.
                continue
            requests = operation.as_strategy(generation_mode=mode)
            settings(hypothesis.given(case=requests)(check))()
