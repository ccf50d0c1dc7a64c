"""A service's README says what its code does: each setting with its default, each request."""

import re

import yaml
from pydantic import TypeAdapter
from pydantic_core import PydanticUndefined

from quintet_e2e.checkout import OF_THE_CHASSIS, code_in, table

METHODS = {"GET", "POST", "PUT", "PATCH", "DELETE"}


def test_the_table_of_settings_is_the_code(service):
    described = {code_in(row[0])[0]: row[1] for row in table(service.readme, "variable", "default", "what")}
    fields = service.settings().model_fields
    assert sorted(described) == sorted(name.upper() for name in fields)
    for name, field in fields.items():
        told = described[name.upper()]
        if field.default is PydanticUndefined:
            assert told == "required", name
        elif field.default is None:
            assert told == "none", name
        else:
            (value,) = code_in(told)
            assert TypeAdapter(field.annotation).validate_python(value) == field.default, name


def test_the_table_of_requests_is_the_code(service):
    described = {
        request
        for row in table(service.readme, "request", "what")
        for code in code_in(row[0])
        if (request := of_one_request(code))
    }
    # What every service has from the chassis may be left out.
    assert described - routes(service, of_the_chassis=True) == routes(service)


def of_one_request(code):
    """`GET /streams/<stream>/events?from=1` without its query and the names of its parts; None if it is none."""
    method, _, path = code.partition(" ")
    if method not in METHODS or not path.startswith("/"):
        return None
    return method, re.sub(r"<[^>]*>", "<>", re.split(r"[?\[ ]", path)[0])


def routes(service, *, of_the_chassis=False):
    return {
        (method, re.sub(r"<[^>]*>", "<>", rule.rule))
        for rule in service.app().url_map.iter_rules()
        if rule.endpoint.startswith(OF_THE_CHASSIS) is of_the_chassis
        for method in rule.methods & METHODS
    }


def test_the_document_has_the_same_requests(service):
    document = yaml.safe_load((service.folder / "openapi.yaml").read_text())
    assert document["openapi"].startswith("3.1")
    described = {
        (method.upper(), re.sub(r"\{[^}]*\}", "<>", path))
        for path, operations in document["paths"].items()
        for method in operations
    }
    assert described == routes(service)


def test_every_event_that_is_sent_is_in_the_table(service):
    described = {name for row in table(service.readme, "event it sends", "when") for name in code_in(row[0])}
    assert described == {contract.rpartition(".v")[0] for contract in service.contracts("publishes")}
