"""Requests made by schemathesis from an app's own OpenAPI document."""

from typing import Any
from urllib.parse import unquote

from werkzeug.exceptions import HTTPException


def fuzz(app: Any, *, stricter_than_schema: tuple[str, ...] = (), max_examples: int = 25) -> None:
    """Send valid and invalid requests to every operation: each response must be documented, and none may be a 5xx.

    `stricter_than_schema` names operations with rules that no schema can express.
    """
    import hypothesis
    import schemathesis
    import yaml
    from schemathesis.specs.openapi.checks import positive_data_acceptance

    several = hypothesis.settings(max_examples=max_examples)
    # Who may ask is the gateway's to say.
    described = {**yaml.safe_load(app.test_client().get("/openapi.yaml").data), "security": []}
    document = schemathesis.openapi.from_dict(described)
    document.app = app

    router = app.url_map.bind("localhost")

    def check(case: Any) -> None:
        operation_id = case.operation.definition.raw["operationId"]
        try:
            endpoint, _ = router.match(unquote(case.formatted_path), case.method)
        except HTTPException:
            endpoint = ""
        if endpoint.rpartition(".")[2] != operation_id:
            # What the path was filled in with makes it another one's, or nobody's.
            return
        lenient = operation_id in stricter_than_schema
        case.call_and_validate(excluded_checks=[positive_data_acceptance] if lenient else [])

    for found in document.get_all_operations():
        operation = found.ok()  # type: ignore[union-attr]
        for mode in schemathesis.GenerationMode:
            if mode.is_negative and not {"parameters", "requestBody"} & set(operation.definition.raw):
                # There is nothing in such a request that could be wrong.
                continue
            requests = operation.as_strategy(generation_mode=mode)
            several(hypothesis.given(case=requests)(check))()
