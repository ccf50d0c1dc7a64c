"""One id follows a request into its answer, the logs, the messages and the events it caused."""

import json
import re
import secrets

from quintet_e2e.clients import done
from quintet_e2e.faults import POSTGRES_BACK_WITHIN, assert_healed
from quintet_e2e.sequences import Own
from quintet_e2e.streams import body, events_of, path_of
from quintet_e2e.subscriber import subscribed
from quintet_testing.waiting import eventually

LOGGED_WITHIN = 10
AWAY_WITHIN = 5


def lines_with(stack, program, request_id):
    """JSON, each of them."""
    return [json.loads(line[line.index("{") :]) for line in stack.log(program).splitlines() if request_id in line]


def test_the_id_that_a_client_gives_is_everywhere(stack, client):
    given = {"X-Request-ID": f"{client.label}.given_{secrets.token_hex(4)}"}
    stream = f"traced {secrets.token_hex(4)}"
    with subscribed(stack, f"{stream.replace(' ', '%20')}.*") as subscriber:
        answer = client.post(f"{path_of(stream)}/events", json=body(), headers={"X-Producer-ID": "one", **given})
        assert answer.headers["X-Request-ID"] == given["X-Request-ID"]
        assert events_of(client, stream)[0]["request_id"] == given["X-Request-ID"]
        eventually(lambda: subscriber.receive() or subscriber.received)
    properties, _ = subscriber.received[0]
    assert properties.correlation_id == given["X-Request-ID"]
    assert properties.message_id == done(answer)
    eventually(lambda: lines_with(stack, "gateway", given["X-Request-ID"]), LOGGED_WITHIN)
    (line,) = lines_with(stack, "gateway", given["X-Request-ID"])
    assert (line["user"], line["status"], line["method"]) == (stack.user, 200, "POST")


def test_it_travels_from_one_service_to_the_other(client):
    own, given = Own(client), f"{client.label}-travels"
    own.draw(10, **{"X-Request-ID": given})
    eventually(own.facts, 15)
    assert [fact["request_id"] for fact in own.facts()] == [given]


def test_an_id_that_is_none_is_replaced(client):
    for wrong in ("with blank", "x" * 129, "ünicode".encode(), "a/b", '"'):
        made = client.get("/sequences", headers={"X-Request-ID": wrong}).headers["X-Request-ID"]
        assert re.fullmatch(r"[0-9a-f]{32}", made)


def test_errors_name_it_and_so_do_the_lines_of_the_log(stack, client):
    given = {"X-Request-ID": f"{client.label}-refused"}
    answer = client.get("/sequence?n=-1", headers=given)
    assert (answer.status_code, answer.json()["instance"]) == (400, given["X-Request-ID"])
    answer = client.get("/nothing", headers=given)
    assert (answer.status_code, answer.json()["instance"]) == (404, given["X-Request-ID"])


def test_with_postgres_away_everything_says_so_and_recovers(stack, client):
    """The only journey without a database; what it asks for must change nothing."""
    stream = f"traced {secrets.token_hex(4)}"
    appending = {"json": body(), "headers": {"X-Producer-ID": "one", "X-Request-ID": f"{client.label}-append"}}
    before = done(client.get("/sequences/json-sequence"))
    stack.stop("postgres")
    try:
        drawing = client.get("/json-sequence", headers={"X-Request-ID": f"{client.label}-draw"}, timeout=AWAY_WITHIN)
        append = client.post(f"{path_of(stream)}/events", timeout=AWAY_WITHIN, **appending)
        health = client.get("/health", timeout=AWAY_WITHIN)
    finally:
        stack.start("postgres")
    for answer in (drawing, append):
        assert answer.status_code == 503
        assert int(answer.headers["Retry-After"]) >= 1
    assert drawing.json()["instance"] == f"{client.label}-draw"
    assert append.json().startswith("Service Unavailable - ")
    assert (health.status_code, health.json()["status"]) == (503, "DOWN")
    for program, request_id in (("sequence-web", f"{client.label}-draw"), ("event-web", f"{client.label}-append")):
        (line,) = lines_with(stack, program, request_id)
        assert (line["event"], line["level"]) == ("request.unavailable", "warning")
    eventually(stack.database_answers, 60)
    eventually(lambda: client.get("/sequences").ok, POSTGRES_BACK_WITHIN)
    # Also where the process that answers was not asked meanwhile.
    assert done(client.get("/sequences/json-sequence")) == before
    assert client.get(path_of(stream)).status_code == 404
    assert_healed(stack)
