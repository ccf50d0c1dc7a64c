"""The OpenAPI 3.1 document of an app, generated from the types that its routes declare."""

import copy
import re
from dataclasses import replace
from typing import Any

import yaml
from pydantic import BaseModel, TypeAdapter
from pydantic.json_schema import JsonSchemaMode

from chassis.web.app import App
from chassis.web.validation import FORM, JSON, Endpoint, ResponseSpec

_REF = "#/components/schemas/{model}"
_UNKNOWN_OUTCOME = "It is unknown whether the change was made; the message states what to do"
_IDEMPOTENCY_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "Repeating the key with the same request within 24 h returns the first response again",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"},
}


class FieldError(BaseModel):
    field: str
    message: str


class ProblemDocument(BaseModel):
    """A problem document (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    errors: list[FieldError] = []


def problem(description: str) -> ResponseSpec:
    return ResponseSpec(description, ProblemDocument, "application/problem+json")


def document(app: App, description: str) -> dict[str, Any]:
    """Describe the routes that are declared with responses; health and other operational routes are omitted."""
    schemas: dict[str, Any] = {}
    paths: dict[str, dict[str, Any]] = {}
    for rule in sorted(app.url_map.iter_rules(), key=lambda rule: (rule.rule, sorted(rule.methods or ()))):
        spec = getattr(app.view_functions[rule.endpoint], "endpoint", None)
        if spec is None or not spec.responses:
            continue
        path = re.sub(r"<(?:[^:<>]+:)?([^<>]+)>", r"{\1}", rule.rule)
        operation_id = rule.endpoint.split(".")[-1]
        if "HEAD" not in (rule.methods or ()):
            spec = _with_unknown_outcome(spec)
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
            paths.setdefault(path, {})[method.lower()] = _operation(operation_id, spec, schemas)
    return {
        "openapi": "3.1.0",
        "info": {"title": f"{app.service}-service", "version": app.version, "description": description},
        "servers": [{"url": "/"}],
        "security": [{"basic": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {"basic": {"type": "http", "scheme": "basic"}},
            "schemas": dict(sorted(schemas.items())),
        },
    }


def as_yaml(document: dict[str, Any]) -> str:
    return yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=110)


def _with_unknown_outcome(spec: Endpoint) -> Endpoint:
    """Add the response for a change during which the connection to the database was lost, in the shape of 503."""
    if 503 not in spec.responses:
        return spec
    unknown = replace(spec.responses[503], description=_UNKNOWN_OUTCOME)
    return replace(spec, responses={**spec.responses, 504: unknown})


def _operation(operation_id: str, spec: Endpoint, schemas: dict[str, Any]) -> dict[str, Any]:
    parameters = [
        *_parameters(spec.path, "path", schemas),
        *_parameters(spec.query, "query", schemas),
        *_parameters(spec.headers, "header", schemas),
    ]
    if spec.idempotent:
        parameters.append(_IDEMPOTENCY_KEY)
    operation: dict[str, Any] = {"operationId": operation_id, "summary": spec.summary}
    if spec.description:
        operation["description"] = spec.description
    if parameters:
        operation["parameters"] = parameters
    body, content_type = (spec.form, FORM) if spec.form else (spec.body, JSON)
    contents = {} if body is None else {content_type: {"schema": _schema(body, schemas)}}
    if spec.streamed_body:
        # A copy: YAML would write a shared object as an alias.
        streamed_body = copy.deepcopy(dict(spec.streamed_body))
        operation["requestBody"] = {**streamed_body, "content": {**contents, **streamed_body["content"]}}
    elif body is not None:
        operation["requestBody"] = {"required": not spec.is_body_optional, "content": contents}
    operation["responses"] = {
        str(status): _response(response, schemas) for status, response in sorted(spec.responses.items())
    }
    return operation


def _response(spec: ResponseSpec, schemas: dict[str, Any]) -> dict[str, Any]:
    if spec.type is None:
        return {"description": spec.description}
    schema = spec.type if isinstance(spec.type, dict) else _schema(spec.type, schemas, mode="serialization")
    return {"description": spec.description, "content": {spec.content_type: {"schema": schema}}}


def _schema(type_: Any, schemas: dict[str, Any], mode: JsonSchemaMode = "validation") -> dict[str, Any]:
    schema = TypeAdapter(type_).json_schema(ref_template=_REF, mode=mode)
    schemas.update(schema.pop("$defs", {}))
    if schema.get("type") == "object" and "title" in schema:
        schemas[schema["title"]] = schema
        return {"$ref": _REF.format(model=schema["title"])}
    return schema


def _parameters(model: type[BaseModel] | None, location: str, schemas: dict[str, Any]) -> list[dict[str, Any]]:
    if model is None:
        return []
    model_schema = model.model_json_schema(ref_template=_REF, by_alias=True)
    schemas.update(model_schema.pop("$defs", {}))
    required = model_schema.get("required", [])
    return [
        {
            "name": name,
            "in": location,
            "required": location == "path" or name in required,
            **({"description": schema.pop("description")} if "description" in schema else {}),
            "schema": _without_null(schema),
        }
        for name, schema in model_schema.get("properties", {}).items()
    ]


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """Remove null from the schema of an optional parameter: clients cannot send it, only omit the parameter."""
    remaining = {key: value for key, value in schema.items() if key not in ("title", "anyOf") and value is not None}
    branches = [branch for branch in schema.get("anyOf", []) if branch != {"type": "null"}]
    if len(branches) > 1:
        return {**remaining, "anyOf": branches}
    return {**remaining, **(branches[0] if branches else {})}
