"""Requests and answers: ids, errors, validation."""

from typing import Any

import pytest

JSON = "application/json; charset=utf-8"


def test_the_request_id_that_comes_in_goes_out(client: Any) -> None:
    given = client.get("/livez", headers={"X-Request-ID": "abc.DEF_1-2"})
    assert given.headers["X-Request-ID"] == "abc.DEF_1-2"


@pytest.mark.parametrize("wrong", ["", "a b", "a" * 129, "a\tb", "ä", "a/b"])
def test_a_request_id_that_is_none_is_replaced(client: Any, wrong: str) -> None:
    out = client.get("/livez", headers={"X-Request-ID": wrong.encode().decode("latin-1")}).headers["X-Request-ID"]
    assert out != wrong
    assert len(out) == 32


def test_a_problem_is_told_with_the_request_id(client: Any) -> None:
    answer = client.get("/errors/notfound", headers={"X-Request-ID": "r-1"})
    assert answer.status_code == 404
    assert answer.content_type == "application/problem+json"
    assert answer.json == {
        "type": "about:blank",
        "title": "Not Found",
        "status": 404,
        "detail": "there is no such thing",
        "instance": "r-1",
    }


def test_what_is_unavailable_says_when_to_come_back(client: Any) -> None:
    answer = client.get("/errors/unavailable")
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "7")


def test_an_unexpected_error_tells_nothing_of_the_inside(client: Any, capsys: pytest.CaptureFixture[str]) -> None:
    answer = client.get("/errors/bug", headers={"X-Request-ID": "r-2"})
    assert answer.status_code == 500
    assert "secret" not in answer.text
    assert answer.json["instance"] == "r-2"


def test_an_unknown_path_and_a_wrong_method_have_the_same_shape(client: Any) -> None:
    assert client.get("/nothing").json["status"] == 404
    answer = client.post("/numbers")
    assert (answer.status_code, answer.json["status"]) == (405, 405)
    assert set(answer.headers["Allow"].split(", ")) == {"GET", "OPTIONS"}


def test_head_is_refused_where_asking_changes_something(client: Any) -> None:
    answer = client.head("/numbers")
    assert answer.status_code == 405
    assert "HEAD" not in answer.headers["Allow"]
    assert client.head("/livez").status_code == 200
    assert client.options("/numbers").status_code == 200


def put(client: Any, body: bytes = b'{"name": "a", "size": 1}', path: str = "/things/a", **how: Any) -> Any:
    return client.put(path, data=body, **{"content_type": "application/json", **how})


def test_all_that_is_wrong_is_named_at_once(client: Any) -> None:
    answer = put(client, b'{"size": "1", "colour": 1}', "/things/%20?limit=0&offset=x&limits=1&offset=2")
    assert answer.status_code == 400
    assert {error["field"] for error in answer.json["errors"]} == {
        "name",
        "limit",
        "limits",
        "offset",
        "size",
        "colour",
    }
    assert all(error["message"] for error in answer.json["errors"])


@pytest.mark.parametrize("query", ["limit=1&limit=2", "limit=+5", "limit=1_0", "limit=１", "limit=", "limit=1.0",
                                   "limit=1001", "limit[]=1", "x=1", "offset=99999999999999999999999"])  # fmt: skip
def test_a_wrong_parameter_is_refused(client: Any, query: str) -> None:
    answer = client.get(f"/things/a?{query.replace('+', '%2B')}")
    assert answer.status_code == 400
    assert len(answer.json["errors"]) == 1


@pytest.mark.parametrize("body", [b"", b"null", b"[]", b"1", b'{"name": "a", "size": true}', b'{"name": 1, "size": 1}',
                                  b'{"name": "a", "size": 1, "size": 2}', b'{"name": "\\u0000", "size": 1}',
                                  b'{"name": "a", "size": 1e400}', b"[" * 2000, b'{"name": "\x1b", "size": 1}',
                                  b'{"name": "", "size": 1}', b'{"name": "a", "size": 1.5}'])  # fmt: skip
def test_a_wrong_body_is_a_400_with_errors(client: Any, body: bytes) -> None:
    answer = put(client, body)
    assert answer.status_code == 400, answer.text
    assert answer.json["errors"]


def test_a_number_without_a_fraction_is_whole(client: Any) -> None:
    assert put(client, b'{"name": "a", "size": 2.0}').json["size"] == 2


@pytest.mark.parametrize("how", [
    {"content_type": "text/plain"}, {"content_type": None}, {"content_type": "application/json; charset=utf-7"},
    {"headers": {"Content-Encoding": "gzip"}}, {"headers": {"Content-Encoding": "br"}},
])  # fmt: skip
def test_another_content_type_or_encoding_is_a_415(client: Any, how: dict[str, Any]) -> None:
    answer = put(client, **how)
    assert (answer.status_code, answer.json["status"]) == (415, 415)


def test_a_body_that_is_too_large_is_a_413_that_says_how_large_it_may_be(
    client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(client.application.config, "MAX_CONTENT_LENGTH", 5000)
    answer = put(client, b'{"name": "' + b"a" * 5000 + b'"}')
    assert answer.status_code == 413
    assert "5000" in answer.json["detail"]


@pytest.mark.parametrize("path", ["/things/%ff", "/things/%c0%af", "/things/a%2Fb", "/things/a%2fb", "/things/%00",
                                  "/things/a?limit=%ff", "/things/a?x=%00"])  # fmt: skip
def test_bytes_that_are_no_text_and_hidden_slashes_are_refused(client: Any, path: str) -> None:
    assert client.get(path).status_code == 400


@pytest.mark.parametrize("name", ["ä", "a\u0308", "😀", "مرحبا", "a b", "..", "%", "'; --", "<b>"])
def test_good_text_in_a_path_comes_back_unchanged(client: Any, name: str) -> None:
    from urllib.parse import quote

    answer = client.get(f"/things/{quote(name, safe='')}")
    assert (answer.status_code, answer.json["name"], answer.content_type) == (200, name, JSON)


def test_a_user_that_is_given_twice_is_refused(client: Any) -> None:
    answer = client.get("/things/a", headers={"X-Authenticated-User": "good,evil"})
    assert answer.status_code == 400
    assert answer.json["errors"][0]["field"] == "X-Authenticated-User"


def test_double_slashes_are_another_path(client: Any) -> None:
    assert client.get("//things/a").status_code == 404
