"""A service's README lists each setting with its default, each request and each published event of the code."""

import re

import yaml
from pydantic import TypeAdapter
from pydantic_core import PydanticUndefined

from quintet_e2e.checkout import CHASSIS_ENDPOINT_PREFIX, code_spans, table_rows

METHODS = {"GET", "POST", "PUT", "PATCH", "DELETE"}


def test_settings_table_equals_settings(service):
    described = {code_spans(row[0])[0]: row[1] for row in table_rows(service.readme, "variable", "default", "meaning")}
    fields = service.settings_class().model_fields
    assert sorted(described) == sorted(name.upper() for name in fields)
    for name, field in fields.items():
        default = described[name.upper()]
        if field.default is PydanticUndefined:
            assert default == "required", name
        elif field.default is None:
            assert default == "none", name
        else:
            (value,) = code_spans(default)
            # A default that is text may be a word that the field itself resolves, as `auto`.
            is_text = isinstance(field.default, str)
            assert (value if is_text else TypeAdapter(field.annotation).validate_python(value)) == field.default, name


def test_requests_table_equals_routes(service):
    described = {
        request
        for row in table_rows(service.readme, "request", "response")
        for code in code_spans(row[0])
        if (request := parse_request(code))
    }
    # The routes that every service gets from the chassis may be omitted.
    assert described - routes(service, from_chassis=True) == routes(service)


def parse_request(code):
    """Return the method and the path without query and parameter names; None if `code` is not a request."""
    method, _, path = code.partition(" ")
    if method not in METHODS or not path.startswith("/"):
        return None
    return method, re.sub(r"<[^>]*>", "<>", re.split(r"[?\[ ]", path)[0])


def routes(service, *, from_chassis=False):
    return {
        (method, re.sub(r"<[^>]*>", "<>", rule.rule))
        for rule in service.app().url_map.iter_rules()
        if rule.endpoint.startswith(CHASSIS_ENDPOINT_PREFIX) is from_chassis
        for method in rule.methods & METHODS
    }


def test_openapi_document_lists_all_routes(service):
    document = yaml.safe_load((service.folder / "openapi.yaml").read_text())
    assert document["openapi"].startswith("3.1")
    described = {
        (method.upper(), re.sub(r"\{[^}]*\}", "<>", path))
        for path, operations in document["paths"].items()
        for method in operations
    }
    assert described == routes(service)


def test_events_table_equals_published_contracts(service):
    described = {name for row in table_rows(service.readme, "event", "published when") for name in code_spans(row[0])}
    assert described == {contract.rpartition(".v")[0] for contract in service.contracts("publishes")}
