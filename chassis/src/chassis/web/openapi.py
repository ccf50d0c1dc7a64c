"""The OpenAPI 3.1 document of an app, generated from the types that its routes declare."""

import functools
import re
from typing import Any

import yaml
from flask import Blueprint, Response
from pydantic import BaseModel, TypeAdapter
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode

from chassis.web import openapi_components
from chassis.web.app import App, this_app
from chassis.web.endpoints import FORM, JSON, Endpoint, ResponseSpec
from chassis.web.openapi_components import Api, all_responses, header_parameter


class _JsonSchema(GenerateJsonSchema):
    """JSON Schema without titles of fields, which only repeat their names, and without null as a default."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False

    def default_schema(self, schema: Any) -> dict[str, Any]:
        json_schema = super().default_schema(schema)
        if json_schema.get("default", "") is None:
            del json_schema["default"]
        return json_schema


class _TextSchema(_JsonSchema):
    """JSON Schema of parameters and forms, without null: clients cannot send it, only omit an optional one."""

    def nullable_schema(self, schema: Any) -> dict[str, Any]:
        return self.generate_inner(schema["schema"])


class _YamlDumper(yaml.SafeDumper):
    """Writes an object that occurs twice twice, instead of an alias."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def add_route(bp: Blueprint, api: Api) -> None:
    """Serve the document."""

    @bp.get("/openapi.yaml")
    def openapi_yaml() -> Response:
        return Response(text(), content_type="application/yaml; charset=utf-8")

    @functools.cache
    def text() -> str:
        return as_yaml(document(this_app(), api))


def as_yaml(document: dict[str, Any]) -> str:
    return yaml.dump(document, Dumper=_YamlDumper, sort_keys=False, allow_unicode=True, width=110)


def document(app: App, api: Api) -> dict[str, Any]:
    """Describe the routes that are declared with responses; other routes are omitted."""
    components = _Components(api)
    paths: dict[str, dict[str, Any]] = {}
    for rule in sorted(app.url_map.iter_rules(), key=lambda rule: (rule.rule, sorted(rule.methods or ()))):
        spec = getattr(app.view_functions[rule.endpoint], "endpoint", None)
        if spec is None or not spec.responses:
            continue
        path = re.sub(r"<(?:[^:<>]+:)?([^<>]+)>", r"{\1}", rule.rule)
        name = rule.endpoint.rpartition(".")[2]
        methods = sorted(method.lower() for method in (rule.methods or set()) - {"HEAD", "OPTIONS"})
        for method in methods:
            # The ID of the second method of a route must be another one.
            operation_id = f"{name}_with_put" if method == "put" and "post" in methods else name
            operation = {"operationId": operation_id, **components.operation(spec, method)}
            paths.setdefault(path, {})[method] = operation
    return {
        "openapi": "3.1.0",
        "info": {
            "title": f"Quintet {app.service}",
            "version": app.version,
            "description": api.description,
            **openapi_components.INFO,
        },
        "servers": openapi_components.SERVERS,
        "security": [{"basic": []}],
        "tags": [{"name": name, "description": description} for name, description in api.tags.items()],
        "paths": paths,
        "components": components.as_dict(),
    }


class _Components:
    """The components of a document, which grow while its operations are described."""

    def __init__(self, api: Api) -> None:
        self._security_schemes = {"basic": openapi_components.BASIC, **api.security_schemes}
        self._headers = api.headers
        self._parts: dict[str, dict[str, Any]] = {"parameters": {}, "headers": {}, "responses": {}, "schemas": {}}

    def as_dict(self) -> dict[str, Any]:
        parts = {name: dict(sorted(part.items())) for name, part in self._parts.items()}
        return {"securitySchemes": self._security_schemes, **parts}

    def operation(self, spec: Endpoint, method: str) -> dict[str, Any]:
        operation: dict[str, Any] = {"summary": spec.summary}
        if spec.description:
            operation["description"] = spec.description
        if spec.tag:
            operation["tags"] = [spec.tag]
        if spec.security is not None:
            operation["security"] = [{name: [] for name in schemes} for schemes in spec.security]
        models = {"path": spec.path, "query": spec.query, "header": spec.headers}
        names = ["Idempotency-Key", "X-Request-ID"] if spec.idempotent else ["X-Request-ID"]
        operation["parameters"] = [
            *(parameter for location, model in models.items() for parameter in self._parameters(model, location)),
            *(self._add("parameters", name, openapi_components.PARAMETERS[name]) for name in names),
            *(self._add("parameters", name, header_parameter(name, text)) for name, text in self._headers.items()),
        ]
        if body := self._request_body(spec):
            operation["requestBody"] = body
        operation["responses"] = {
            str(status): self._response(status, responses, spec.idempotent)
            for status, responses in all_responses(spec, method).items()
        }
        return operation

    def _add(self, part: str, name: str, definition: dict[str, Any]) -> dict[str, str]:
        """Add a component if it is new, and return a reference to it."""
        if self._parts[part].setdefault(name, definition) != definition:
            raise ValueError(f"two {part} are named {name}")
        return {"$ref": f"#/components/{part}/{name}"}

    def _request_body(self, spec: Endpoint) -> dict[str, Any] | None:
        body, content_type = (spec.form, FORM) if spec.form else (spec.body, JSON)
        contents: dict[str, Any] = {}
        if body is not None:
            schema = self._schema(body, "validation", _TextSchema if spec.form else _JsonSchema)
            contents[content_type] = {"schema": schema, **_example(spec)}
        if spec.streamed_body:
            return {**spec.streamed_body, "content": {**contents, **spec.streamed_body["content"]}}
        if body is None:
            return None
        return {"required": not spec.is_body_optional, "content": contents}

    def _response(self, status: int, specs: list[ResponseSpec], idempotent: bool) -> dict[str, Any]:
        """Describe a response of the service, of the gateway, or of either."""
        names = ["X-Request-ID", *specs[0].headers]
        # 409 has it while the first request with the key is in progress.
        if status in (429, 503) or (status == 409 and idempotent):
            names.append("Retry-After")
        if idempotent and status < 300:
            names.append("Idempotent-Replayed")
        headers = {name: self._add("headers", name, openapi_components.HEADERS[name]) for name in names}
        description = ". From the gateway: ".join(spec.description for spec in specs)
        response: dict[str, Any] = {"description": description, "headers": headers}
        if content := self._content(specs):
            response["content"] = content
        name = "Or".join(dict.fromkeys(spec.name for spec in specs if spec.name))
        return self._add("responses", name, response) if specs[0].name else response

    def _content(self, specs: list[ResponseSpec]) -> dict[str, Any]:
        content: dict[str, Any] = {}
        for spec in specs:
            if spec.type is None:
                continue
            schema = spec.type if isinstance(spec.type, dict) else self._schema(spec.type, "serialization")
            for content_type in [spec.content_type] if isinstance(spec.content_type, str) else spec.content_type:
                # A file of any type may be JSON, which is more than text.
                part = {"schema": {} if content_type == "*/*" else schema, **_example(spec)}
                media = content.setdefault(content_type, part)
                if media["schema"] != part["schema"]:
                    media["schema"] = {"anyOf": [media["schema"], schema]}
        return content

    def _schema(self, type_: Any, mode: JsonSchemaMode, generator: type[_JsonSchema] = _JsonSchema) -> dict[str, Any]:
        schema = self._inline_schema(type_, mode, generator)
        if schema.get("type") == "object" and "title" in schema:
            return self._add("schemas", schema["title"], schema)
        return schema

    def _inline_schema(self, type_: Any, mode: JsonSchemaMode, generator: type[_JsonSchema]) -> dict[str, Any]:
        schema = TypeAdapter(type_).json_schema(
            ref_template="#/components/schemas/{model}", mode=mode, schema_generator=generator
        )
        for name, definition in schema.pop("$defs", {}).items():
            self._add("schemas", name, definition)
        return schema

    def _parameters(self, model: type[BaseModel] | None, location: str) -> list[dict[str, Any]]:
        if model is None:
            return []
        schema = self._inline_schema(model, "validation", _TextSchema)
        required = schema.get("required", [])
        schemes = {(scheme.get("name"), scheme.get("in")) for scheme in self._security_schemes.values()}
        return [
            {
                "name": name,
                "in": location,
                "required": location == "path" or name in required,
                **({"description": property_.pop("description")} if "description" in property_ else {}),
                "schema": property_,
            }
            for name, property_ in schema.get("properties", {}).items()
            if (name, location) not in schemes
        ]


def _example(spec: Endpoint | ResponseSpec) -> dict[str, Any]:
    return {} if spec.example is None else {"example": spec.example}
