"""The OpenAPI 3.1 document of an app, from the types its routes are declared with."""

import copy
import re
from typing import Any

import yaml
from pydantic import BaseModel, TypeAdapter

from chassis.web.app import App
from chassis.web.validation import FORM, JSON, Endpoint, ResponseSpec

_REF = "#/components/schemas/{model}"
_KEY_HEADER = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "The same key with the same request within 24 h gives the first answer again",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"},
}


class FieldError(BaseModel):
    field: str
    message: str


class ProblemDocument(BaseModel):
    """RFC 9457"""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    errors: list[FieldError] = []


def problem(description: str) -> ResponseSpec:
    return ResponseSpec(description, ProblemDocument, "application/problem+json")


def document(app: App, description: str) -> dict[str, Any]:
    """Describe the routes that are declared with `endpoint`; health and the like are left out."""
    schemas: dict[str, Any] = {}
    paths: dict[str, dict[str, Any]] = {}
    for rule in sorted(app.url_map.iter_rules(), key=lambda rule: (rule.rule, sorted(rule.methods or ()))):
        described = getattr(app.view_functions[rule.endpoint], "endpoint", None)
        if described is None:
            continue
        path = re.sub(r"<(?:[^:<>]+:)?([^<>]+)>", r"{\1}", rule.rule)
        operation_id = rule.endpoint.split(".")[-1]
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
            paths.setdefault(path, {})[method.lower()] = _operation(operation_id, described, schemas)
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


def as_yaml(described: dict[str, Any]) -> str:
    return yaml.safe_dump(described, sort_keys=False, allow_unicode=True, width=110)


def _operation(operation_id: str, described: Endpoint, schemas: dict[str, Any]) -> dict[str, Any]:
    parameters = [
        *_parameters(described.path, "path", schemas),
        *_parameters(described.query, "query", schemas),
        *_parameters(described.headers, "header", schemas),
    ]
    if described.idempotent:
        parameters.append(_KEY_HEADER)
    operation: dict[str, Any] = {"operationId": operation_id, "summary": described.summary}
    if described.description:
        operation["description"] = described.description
    if parameters:
        operation["parameters"] = parameters
    body, content_type = (described.form, FORM) if described.form else (described.body, JSON)
    if described.streamed_body:
        # A copy: YAML would refer to the first one.
        operation["requestBody"] = copy.deepcopy(described.streamed_body)
    elif body is not None:
        operation["requestBody"] = {
            "required": not described.is_body_optional,
            "content": {content_type: {"schema": _schema(body, schemas)}},
        }
    operation["responses"] = {
        str(status): _answer(answer, schemas) for status, answer in sorted(described.answers.items())
    }
    return operation


def _answer(answer: ResponseSpec, schemas: dict[str, Any]) -> dict[str, Any]:
    if answer.type is None:
        return {"description": answer.description}
    schema = answer.type if isinstance(answer.type, dict) else _schema(answer.type, schemas, mode="serialization")
    return {"description": answer.description, "content": {answer.content_type: {"schema": schema}}}


def _schema(type_: Any, schemas: dict[str, Any], mode: Any = "validation") -> dict[str, Any]:
    schema = TypeAdapter(type_).json_schema(ref_template=_REF, mode=mode)
    schemas.update(schema.pop("$defs", {}))
    if schema.get("type") == "object" and "title" in schema:
        schemas[schema["title"]] = schema
        return {"$ref": _REF.format(model=schema["title"])}
    return schema


def _parameters(model: type[BaseModel] | None, where: str, schemas: dict[str, Any]) -> list[dict[str, Any]]:
    if model is None:
        return []
    described = model.model_json_schema(ref_template=_REF, by_alias=True)
    schemas.update(described.pop("$defs", {}))
    required = described.get("required", [])
    return [
        {
            "name": name,
            "in": where,
            "required": where == "path" or name in required,
            **({"description": schema.pop("description")} if "description" in schema else {}),
            "schema": _never_null(schema),
        }
        for name, schema in described.get("properties", {}).items()
    ]


def _never_null(schema: dict[str, Any]) -> dict[str, Any]:
    """A parameter that may be left out is None to the code; no client can send that."""
    kept = {key: value for key, value in schema.items() if key not in ("title", "anyOf") and value is not None}
    others = [branch for branch in schema.get("anyOf", []) if branch != {"type": "null"}]
    if len(others) > 1:
        return {**kept, "anyOf": others}
    return {**kept, **(others[0] if others else {})}
