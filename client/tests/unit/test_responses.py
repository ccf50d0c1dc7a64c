"""The error shapes of the gateway and of every service have the same fields."""

import json

import pytest

from quintet import errors
from quintet._responses import ERROR_CLASSES, error_from_response

PROBLEM = {
    "type": "about:blank",
    "title": "Bad Request",
    "status": 400,
    "detail": "n: must be an integer",
    "instance": "r-1",
    "errors": [{"field": "n", "message": "must be an integer"}],
}


def parse(status, document, **headers):
    return error_from_response(status, headers, json.dumps(document).encode())


@pytest.mark.parametrize("status", ERROR_CLASSES)
def test_status_decides_the_class(status):
    error = parse(status, PROBLEM)
    assert type(error) is ERROR_CLASSES[status]
    assert error.status == status


def test_other_statuses_are_response_errors():
    error = parse(418, {})
    assert type(error) is errors.ResponseError
    assert (error.status, error.title, error.detail) == (418, "I'm a Teapot", "I'm a Teapot")
    assert parse(599, {}).title == "Error"


def test_problem_document():
    error = parse(400, PROBLEM)
    assert error.detail == "n: must be an integer"
    assert error.errors == (("n", "must be an integer"),)
    assert error.errors[0].field == "n"
    assert (error.title, error.request_id) == ("Bad Request", "r-1")
    assert str(error) == "n: must be an integer (400 Bad Request, request r-1)"


@pytest.mark.parametrize(
    ("status", "text", "detail"),
    [
        (423, "Locked - Second writers not allowed", "Second writers not allowed"),
        (404, "Not Found", "Not Found"),
        (401, "Unauthorized", "Unauthorized"),
        (400, "Bad Request - reason - with a dash", "reason - with a dash"),
    ],
)
def test_text_of_event_service_and_gateway(status, text, detail):
    error = parse(status, text, **{"x-request-id": "r-2"})
    assert (error.detail, error.request_id) == (detail, "r-2")


def test_envelope_of_orders_service():
    envelope = {"result": None, "status_code": 404, "uuid": "r-3", "message": "order not found"}
    error = parse(404, envelope)
    assert (error.detail, error.errors, error.request_id) == ("order not found", (), "r-3")


def test_envelope_with_invalid_fields():
    message = {"limit": "limit must be a number", "uuid": "must be short"}
    error = parse(400, {"result": None, "status_code": 400, "uuid": "r-4", "message": message})
    assert error.detail == "limit must be a number; uuid: must be short"
    assert error.errors == (("limit", "limit must be a number"), ("uuid", "must be short"))


def test_failed_upload_of_specstore_service():
    body = {"success": False, "dataset_id": None, "flow_id": None, "errors": ["Missing owner in spec", "another"]}
    assert parse(400, body).detail == "Missing owner in spec; another"


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        (b"<html>502 Bad Gateway</html>", "Bad Gateway"),
        (b"", "Bad Gateway"),
        (b"upstream is away", "upstream is away"),
        (b"[1]", "Bad Gateway"),
        (b"null", "Bad Gateway"),
        (b"\xff\xfe", "��"),
    ],
)
def test_body_of_another_program(body, detail):
    assert error_from_response(502, {}, body).detail == detail


def test_redirect_names_its_target():
    error = error_from_response(301, {"location": "https://example.com/"}, b"")
    assert "https://example.com/" in error.detail


def test_exceptions_have_the_documented_hierarchy():
    """The docstring of the module shows every exception below its base class."""
    classes = {name: value for name, value in vars(errors).items() if isinstance(value, type)}
    exceptions = {name: class_ for name, class_ in classes.items() if issubclass(class_, errors.QuintetError)}
    parents = []
    documented = set()
    for line in errors.__doc__.splitlines()[2:]:
        text = line.lstrip("│├└─ ")
        if not text:
            continue
        depth, name = (len(line) - len(text)) // 4, text.split()[0]
        parents[depth:] = [exceptions[name]]
        documented.add(name)
        if depth:
            assert parents[depth - 1] in exceptions[name].__bases__, name
    assert documented == set(exceptions)


@pytest.mark.parametrize(
    "document",
    [
        {"detail": "d", "errors": None},
        {"detail": "d", "errors": [{"loc": ["body"]}, "text", {"field": "f"}]},
        {"detail": "d", "errors": {"field": "f"}},
    ],
)
def test_fields_of_other_programs_do_not_hide_the_error(document):
    error = parse(400, document)
    assert (error.detail, error.errors) == ("d", ())


@pytest.mark.parametrize("body", [b"[" * 100_000, b"\xff\xfe", b'{"errors": 3}', b"null", b"3", b"NaN"])
def test_unexpected_bodies_do_not_hide_the_error(body):
    assert type(error_from_response(503, {}, body)) is errors.Unavailable
