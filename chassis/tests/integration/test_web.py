"""Requests and responses: request IDs, logging, errors, validation."""

from typing import Any

import pytest

JSON = "application/json; charset=utf-8"


def test_valid_request_id_is_returned(client: Any) -> None:
    response = client.get("/livez", headers={"X-Request-ID": "abc.DEF_1-2"})
    assert response.headers["X-Request-ID"] == "abc.DEF_1-2"


@pytest.mark.parametrize("invalid", ["", "a b", "a" * 129, "a\tb", "ä", "a/b"])
def test_invalid_request_id_is_replaced(client: Any, invalid: str) -> None:
    response = client.get("/livez", headers={"X-Request-ID": invalid.encode().decode("latin-1")})
    request_id = response.headers["X-Request-ID"]
    assert request_id != invalid
    assert len(request_id) == 32


def test_request_is_logged_once_at_info_with_its_outcome(client: Any, logged: Any) -> None:
    client.get("/things/a?limit=2", headers={"X-Request-ID": "r-3"})
    client.post("/nothing", headers={"X-Request-ID": "r-4"})
    lines = logged("request.handled")
    names = ("level", "request_id", "method", "path", "status")
    assert [tuple(line[name] for name in names) for line in lines] == [
        ("info", "r-3", "GET", "/things/a", 200),
        ("info", "r-4", "POST", "/nothing", 404),
    ]
    assert all(0 <= line["seconds"] < 20 for line in lines)


def test_request_is_logged_with_status_500_after_an_unexpected_error(client: Any, logged: Any) -> None:
    client.get("/errors/bug", headers={"X-Request-ID": "r-5"})
    (line,) = logged("request.handled")
    assert (line["level"], line["request_id"], line["status"]) == ("info", "r-5", 500)
    (failure,) = logged("request.failed")
    assert (failure["level"], failure["request_id"], failure["path"]) == ("error", "r-5", "/errors/bug")


@pytest.mark.parametrize("path", ["/livez", "/healthcheck", "/metrics", "/metrics/recent", "/metrics/backlog"])
def test_probe_is_logged_at_debug(client: Any, logged: Any, path: str) -> None:
    client.get(path)
    assert [(line["level"], line["path"]) for line in logged("request.handled")] == [("debug", path)]


def test_problem_document_contains_the_request_id(client: Any) -> None:
    response = client.get("/errors/notfound", headers={"X-Request-ID": "r-1"})
    assert response.status_code == 404
    assert response.content_type == "application/problem+json"
    assert response.json == {
        "type": "about:blank",
        "title": "Not Found",
        "status": 404,
        "detail": "thing not found",
        "instance": "r-1",
    }


def test_unavailable_response_has_retry_after(client: Any) -> None:
    response = client.get("/errors/unavailable")
    assert (response.status_code, response.headers["Retry-After"]) == (503, "7")


def test_unexpected_error_reveals_no_internals(client: Any) -> None:
    response = client.get("/errors/bug", headers={"X-Request-ID": "r-2"})
    assert response.status_code == 500
    assert "secret" not in response.text
    assert response.json["instance"] == "r-2"


def test_unknown_path_and_wrong_method_return_problem_documents(client: Any) -> None:
    assert client.get("/nothing").json["status"] == 404
    response = client.post("/numbers")
    assert (response.status_code, response.json["status"]) == (405, 405)
    assert set(response.headers["Allow"].split(", ")) == {"GET", "OPTIONS"}


def test_head_is_rejected_for_a_get_that_changes_something(client: Any) -> None:
    response = client.head("/numbers")
    assert response.status_code == 405
    assert "HEAD" not in response.headers["Allow"]
    assert client.head("/livez").status_code == 200
    assert client.options("/numbers").status_code == 200


def put(client: Any, body: bytes = b'{"name": "a", "size": 1}', path: str = "/things/a", **options: Any) -> Any:
    return client.put(path, data=body, **{"content_type": "application/json", **options})


def test_all_invalid_fields_are_reported_together(client: Any) -> None:
    response = put(client, b'{"size": "1", "color": 1}', "/things/%20?limit=0&offset=x&limits=1&offset=2")
    assert response.status_code == 400
    assert {error["field"] for error in response.json["errors"]} == {
        "name",
        "limit",
        "limits",
        "offset",
        "size",
        "color",
    }
    assert all(error["message"] for error in response.json["errors"])


@pytest.mark.parametrize("query", ["limit=1&limit=2", "limit=+5", "limit=1_0", "limit=１", "limit=", "limit=1.0",
                                   "limit=1001", "limit[]=1", "x=1", "offset=99999999999999999999999"])  # fmt: skip
def test_invalid_parameter_returns_400(client: Any, query: str) -> None:
    response = client.get(f"/things/a?{query.replace('+', '%2B')}")
    assert response.status_code == 400
    assert len(response.json["errors"]) == 1


@pytest.mark.parametrize("body", [b"", b"null", b"[]", b"1", b'{"name": "a", "size": true}', b'{"name": 1, "size": 1}',
                                  b'{"name": "a", "size": 1, "size": 2}', b'{"name": "\\u0000", "size": 1}',
                                  b'{"name": "a", "size": 1e400}', b"[" * 2000, b'{"name": "\x1b", "size": 1}',
                                  b'{"name": "", "size": 1}', b'{"name": "a", "size": 1.5}'])  # fmt: skip
def test_invalid_body_returns_400_with_errors(client: Any, body: bytes) -> None:
    response = put(client, body)
    assert response.status_code == 400, response.text
    assert response.json["errors"]


def test_float_without_fraction_is_accepted_as_integer(client: Any) -> None:
    assert put(client, b'{"name": "a", "size": 2.0}').json["size"] == 2


@pytest.mark.parametrize("options", [
    {"content_type": "text/plain"}, {"content_type": None}, {"content_type": "application/json; charset=utf-7"},
    {"headers": {"Content-Encoding": "gzip"}}, {"headers": {"Content-Encoding": "br"}},
], ids=["text", "no content type", "UTF-7", "gzip", "Brotli"])  # fmt: skip
def test_other_content_type_or_encoding_returns_415(client: Any, options: dict[str, Any]) -> None:
    response = put(client, **options)
    assert (response.status_code, response.json["status"]) == (415, 415)


def test_too_large_body_returns_413_with_the_limit(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(client.application.config, "MAX_CONTENT_LENGTH", 5000)
    response = put(client, b'{"name": "' + b"a" * 5000 + b'"}')
    assert response.status_code == 413
    assert "5000" in response.json["detail"]


@pytest.mark.parametrize("path", ["/things/%ff", "/things/%c0%af", "/things/a%2Fb", "/things/a%2fb", "/things/%00",
                                  "/things/a?limit=%ff", "/things/a?x=%00"])  # fmt: skip
def test_invalid_utf8_and_encoded_slashes_return_400(client: Any, path: str) -> None:
    assert client.get(path).status_code == 400


@pytest.mark.parametrize("name", ["ä", "a\u0308", "😀", "مرحبا", "a b", "..", "%", "'; --", "<b>"])
def test_any_valid_text_in_a_path_is_returned_unchanged(client: Any, name: str) -> None:
    from urllib.parse import quote

    response = client.get(f"/things/{quote(name, safe='')}")
    assert (response.status_code, response.json["name"], response.content_type) == (200, name, JSON)


def test_repeated_user_header_returns_400(client: Any) -> None:
    response = client.get("/things/a", headers={"X-Authenticated-User": "good,evil"})
    assert response.status_code == 400
    assert response.json["errors"][0]["field"] == "X-Authenticated-User"


def test_double_slash_is_a_different_path(client: Any) -> None:
    assert client.get("//things/a").status_code == 404
