"""What is answered before Flask, and what Flask is left to tell."""

from typing import Any

import pytest
from flask import Blueprint

from chassis.errors import Invalid
from chassis.runtime.config import ServiceSettings
from chassis.web import app as web
from chassis.web.shortcut import Reply, add_shortcut

ROUTE = "/things/<name>"


@pytest.fixture
def asked() -> list[str]:
    """Who was asked."""
    return []


@pytest.fixture
def client(asked: list[str]) -> Any:
    bp = Blueprint("things", __name__)

    @bp.get(ROUTE)
    def thing(name: str) -> dict[str, str]:
        asked.append("Flask")
        return {"name": name}

    def answer(environ: dict[str, Any], request_id: str) -> Reply | None:
        asked.append("shortcut")
        name = environ["PATH_INFO"].removeprefix("/things/")
        if name == "wrong":
            raise Invalid.field("name", "is wrong")
        if name == "broken":
            raise RuntimeError("it broke")
        if name == "same":
            return Reply(ROUTE, b"", [("ETag", '"1"')], 304)
        return Reply(ROUTE, b'{"name":"%b"}' % name.encode(), [("X-Seen", request_id)]) if name == "known" else None

    app = web.create_app("things", "1", ServiceSettings(database_url="postgresql://unused"), [bp])
    add_shortcut(app, answer)
    return app.test_client()


def test_what_it_knows_is_answered_with_the_request_id(client: Any, asked: list[str]) -> None:
    answer = client.get("/things/known", headers={"X-Request-ID": "r-1"})
    assert (answer.status_code, answer.json) == (200, {"name": "known"})
    assert dict(answer.headers) == {
        "X-Seen": "r-1",
        "X-Request-ID": "r-1",
        "Content-Type": "application/json; charset=utf-8",
        "Content-Length": "16",
    }
    assert asked == ["shortcut"]


def test_an_answer_without_a_body_has_no_type(client: Any) -> None:
    answer = client.get("/things/same")
    assert (answer.status, answer.data, answer.content_type) == ("304 NOT MODIFIED", b"", None)


def test_what_it_does_not_know_is_left_to_flask(client: Any, asked: list[str]) -> None:
    assert client.get("/things/other").json == {"name": "other"}
    assert asked == ["shortcut", "Flask"]


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/things/kno%77n", {}),
        ("/things/known", {"X-Authenticated-User": "ann,bob"}),
        ("/things/known", {"X-Authenticated-Role": "reader,admin"}),
    ],
)
def test_what_needs_a_closer_look_is_not_for_it(
    client: Any, asked: list[str], path: str, headers: dict[str, str]
) -> None:
    client.get(path, headers=headers)
    assert "shortcut" not in asked


@pytest.mark.parametrize(("name", "status", "detail"), [("wrong", 400, "name: is wrong"), ("broken", 500, None)])
def test_what_goes_wrong_is_told_by_flask_and_not_tried_again(
    client: Any, asked: list[str], name: str, status: int, detail: str | None
) -> None:
    answer = client.get(f"/things/{name}", headers={"X-Request-ID": "r-2"})
    assert (answer.status_code, answer.content_type) == (status, "application/problem+json")
    assert answer.json["instance"] == answer.headers["X-Request-ID"] == "r-2"
    assert detail is None or answer.json["detail"] == detail
    assert asked == ["shortcut"]


def test_an_id_that_it_made_is_the_one_that_flask_tells(client: Any) -> None:
    answer = client.get("/things/wrong")
    assert len(answer.json["instance"]) == 32
    assert answer.headers["X-Request-ID"] == answer.json["instance"]


def test_it_counts_under_the_route(client: Any) -> None:
    client.get("/things/known")
    metrics = client.application.metrics.exposition({}).decode()
    assert 'http_request_duration_seconds_count{method="GET",route="/things/<name>",status="200"} 1.0' in metrics
