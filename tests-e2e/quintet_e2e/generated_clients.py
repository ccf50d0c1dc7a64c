"""Clients that openapi-python-client generates from the OpenAPI documents."""

import importlib
import inspect
import io
import json
import re
import subprocess
import sys
import typing
from enum import Enum
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import yaml
from jsonschema import Draft202012Validator

from quintet_e2e.checkout import CHECKOUT, all_services
from quintet_e2e.stacks import RunningStack

DOCUMENTS = {
    **{service.name: service.folder / "openapi.yaml" for service in all_services()},
    "console": CHECKOUT / "gateway" / "console" / "openapi.yaml",
}
# The generator does not know these types of files. If they are declared as another one, an operation must not accept
# JSON with an array too: the client would check `isinstance(body, A | list[A])`, which Python rejects.
_OVERRIDES = {
    "orders": {
        "text/csv": "application/octet-stream",
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "application/octet-stream",
    }
}
# The operations that the generator warns about, because it omits a body of a type that it does not know.
_WARNINGS = {"factory": ["POST /api/factory/{id}/production"]}


def generate(name: str, folder: Path) -> str:
    """Generate the package of a document into the folder, and return its name. Unexpected warnings are errors."""
    package, config = f"{name}_generated_client", folder / "config.yaml"
    config.write_text(yaml.safe_dump({"content_type_overrides": _OVERRIDES.get(name, {})}))
    options = {"--path": DOCUMENTS[name], "--output-path": folder / package, "--config": config, "--meta": "none"}
    arguments = [str(part) for option in options.items() for part in option]
    program = Path(sys.executable).with_name("openapi-python-client")
    result = subprocess.run(
        [program, "generate", *arguments],
        env={"PATH": str(program.parent)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    output = result.stdout + result.stderr
    assert result.returncode == 0, output
    warnings = re.findall(r"^(?:WARNING|ERROR) parsing (\S+ \S+) ", output, re.MULTILINE)
    has_warnings = "Warning(s) encountered" in output
    assert (warnings, has_warnings) == (_WARNINGS.get(name, []), name in _WARNINGS), output
    return package


class GeneratedClient:
    """Calls the operations of a generated package by their IDs, and records which ones were called.

    Each response must have a status of success and conform to the document.
    """

    def __init__(self, name: str, package: str, stack: RunningStack) -> None:
        self._package = package
        self._document = yaml.safe_load(DOCUMENTS[name].read_text(encoding="utf-8"))
        self._operations = {
            operation["operationId"]: operation
            for by_method in self._document["paths"].values()
            for operation in by_method.values()
        }
        self.uncalled = set(self._operations)
        self._client = importlib.import_module(package).Client(
            base_url=stack.url, raise_on_unexpected_status=True, httpx_args={"auth": (stack.user, stack.password)}
        )

    def close(self) -> None:
        self._client.get_httpx_client().close()

    def set_header(self, name: str, value: str) -> None:
        self.close()
        self._client = self._client.with_headers({name: value})

    def call(self, operation_id: str, body: Any = None, **arguments: Any) -> Any:
        """Return the JSON of the response; without a body, send the document's example of it."""
        module = self._module(operation_id)
        response = module.sync_detailed(client=self._client, **self._arguments(module, operation_id, body, arguments))
        assert 200 <= response.status_code < 300, (operation_id, response.status_code, response.content)
        assert response.headers["X-Request-ID"]
        self.uncalled.discard(operation_id)
        content = self._operations[operation_id]["responses"][str(int(response.status_code))].get("content", {})
        if "application/json" not in content:
            return response.content
        assert response.parsed is not None, operation_id
        result = json.loads(response.content)
        schema = content["application/json"]["schema"] | {"components": self._document["components"]}
        assert [error.message for error in Draft202012Validator(schema).iter_errors(result)] == [], operation_id
        return result

    def first_line(self, operation_id: str, **arguments: Any) -> str:
        """Return the first line of a response that does not end."""
        module = self._module(operation_id)
        http: httpx.Client = self._client.get_httpx_client()
        with http.stream(**module._get_kwargs(**self._arguments(module, operation_id, None, arguments))) as response:
            assert response.is_success, (operation_id, response.status_code)
            self.uncalled.discard(operation_id)
            return next(response.iter_lines())

    def _module(self, operation_id: str) -> ModuleType:
        tag = self._operations[operation_id]["tags"][0].replace("-", "_")
        return importlib.import_module(f"{self._package}.api.{tag}.{operation_id}")

    def _arguments(self, module: ModuleType, operation_id: str, body: Any, arguments: dict[str, Any]) -> dict[str, Any]:
        """Return the arguments as the types that the generated function requires."""
        parameters = inspect.signature(module.sync_detailed).parameters
        if "body" in parameters:
            arguments["body"] = self._example_of_body(operation_id) if body is None else body
        return {name: _convert(value, parameters[name].annotation) for name, value in arguments.items()}

    def _example_of_body(self, operation_id: str) -> Any:
        content = self._operations[operation_id]["requestBody"]["content"]
        media_type = next(media for media in content.values() if "example" in media or "examples" in media)
        if "example" in media_type:
            return media_type["example"]
        return next(iter(media_type["examples"].values()))["value"]


def _convert(value: Any, annotation: Any) -> Any:
    types = typing.get_args(annotation) or (annotation,)
    for type_ in types:
        if inspect.isclass(type_) and issubclass(type_, Enum) and isinstance(value, str):
            return type_(value)
        if hasattr(type_, "from_dict") and isinstance(value, dict):
            return type_.from_dict(value)
        if getattr(type_, "__name__", "") == "File" and isinstance(value, str):
            return type_(io.BytesIO(value.encode()), "example.csv", "text/csv")
    return value
