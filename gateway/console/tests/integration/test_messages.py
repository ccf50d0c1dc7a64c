"""Queues and dead letters, as JSON and as pages; small HTTP servers respond for the services."""

import time

import pytest

ADMIN = {"X_Authenticated_User": "root", "X_Authenticated_Role": "admin"}
WRITER = {"X_Authenticated_User": "ann", "X_Authenticated_Role": "writer"}
QUEUE = {"name": "orders.import", "dead_letters": 2, "messages": 1234, "consumers": 1, "handled_per_second": 2.5}
LETTER = {
    "id": "m/1", "type": "orders.import", "request_id": "r-1", "reason": "row <17>",
    "dead_at": "2026-01-02T03:04:05+00:00",
    "size_bytes": 20_000, "body": '{"a": [1, 2.5], "b": null}',
}  # fmt: skip


@pytest.fixture
def queues(services):
    """Let the orders-service have a queue with dead letters, and the other services none."""

    def respond(request):
        if request.path == "/queues":
            request.send_json(200, {"is_connected": True, "queues": [QUEUE]})
        elif request.command == "GET":
            unnamed = LETTER | {"id": None, "request_id": None, "dead_at": None, "body": "1.50 <b>"}
            request.send_json(200, {"dead_letters": [LETTER, unnamed]})
        else:
            request.send_json(200, {"count": 1})

    for service in services.values():
        service.respond = lambda request: request.send_json(200, {"is_connected": True, "queues": []})
    services["orders"].respond = respond
    return services


def test_queues_of_all_services_are_listed(get, queues):
    assert get("/dead-letters", **ADMIN).json() == {
        "queues": [{"service": "orders-service", **QUEUE}],
        "disconnected": [],
        "unavailable": [],
    }
    for path in ("/console/messages", "/console/messages/queues"):
        page = get(path, **ADMIN)
        assert page.status_code == 200
        assert "1,234" in page.text and 'href="/console/messages/orders.import"' in page.text


def test_service_without_response_or_worker_is_named(get, queues):
    def respond_late(request):
        time.sleep(5)
        request.send_json(200, {"is_connected": True, "queues": []})

    queues["event"].respond = lambda request: request.send_json(503, {"detail": "Postgres is down"})
    queues["factory"].respond = respond_late
    queues["sequence"].respond = lambda request: request.send_json(200, {"is_connected": False, "queues": []})
    body = get("/dead-letters", **ADMIN).json()
    assert (body["unavailable"], body["disconnected"]) == (["event-service", "factory-service"], ["sequence-service"])
    page = get("/console/messages", **ADMIN).text
    assert "event-service does not respond" in page and "No worker of sequence-service is connected" in page
    assert "orders.import" in page


def test_dead_letters_are_shown_with_reason_and_body(get, queues):
    assert get("/dead-letters/orders.import", **ADMIN).json()["dead_letters"][0] == LETTER
    page = get("/console/messages/orders.import", **ADMIN)
    assert page.status_code == 200
    assert "row &lt;17&gt;" in page.text
    assert "{\n  &#34;a&#34;: [\n    1,\n    2.5\n  ]" in page.text
    assert "1.50 &lt;b&gt;" in page.text
    assert 'href="/console/trace/r-1"' in page.text
    # Requeue and delete for all and for the letter that has an ID.
    assert page.text.count('method="post"') == 4


@pytest.mark.parametrize("dead_at", ["yesterday", 17, "2026-01-02T03:04:05", None])
def test_unexpected_time_of_a_dead_letter_is_shown_as_unknown(get, queues, dead_at):
    letters = [LETTER | {"dead_at": dead_at, "request_id": "a/../b c"}]
    queues["orders"].respond = lambda request: request.send_json(
        200, {"is_connected": True, "queues": [QUEUE], "dead_letters": letters}
    )
    page = get("/console/messages/orders.import", **ADMIN)
    assert page.status_code == 200 and "<dd>unknown</dd>" in page.text


@pytest.mark.parametrize(
    ("action", "form", "request_line", "notice"),
    [
        ("retry", {}, ("POST", "/queues/orders.import/dead/retry"), "requeued"),
        ("retry", {"id": "m/1"}, ("POST", "/queues/orders.import/dead/retry?id=m%2F1"), "requeued"),
        ("delete", {}, ("DELETE", "/queues/orders.import/dead"), "deleted"),
        ("delete", {"id": "m/1"}, ("DELETE", "/queues/orders.import/dead?id=m%2F1"), "deleted"),
    ],
)
def test_dead_letters_are_requeued_and_deleted(get, queues, action, form, request_line, notice):
    response = get("/console/messages/orders.import", "POST", {"action": action, "key": "k", **form}, **ADMIN)
    assert response.status_code == 303
    assert response.headers["Location"] == f"/console/messages/orders.import?done={notice}"
    assert queues["orders"].changes == [request_line]


def test_dead_letters_are_requeued_and_deleted_as_json(get, queues):
    assert get("/dead-letters/orders.import/retry?id=m1", "POST", **ADMIN).json() == {"count": 1}
    assert get("/dead-letters/orders.import", "DELETE", **ADMIN).json() == {"count": 1}
    assert queues["orders"].changes == [
        ("POST", "/queues/orders.import/dead/retry?id=m1"),
        ("DELETE", "/queues/orders.import/dead"),
    ]
    assert get("/dead-letters/orders.import?all=1", "DELETE", **ADMIN).status_code == 400


def test_failed_action_is_explained_on_the_page(get, queues):
    respond = queues["orders"].respond

    def fail(request):
        if request.command == "POST":
            request.send_json(404, {"message": "a shape of its own"})
        else:
            respond(request)

    queues["orders"].respond = fail
    response = get("/console/messages/orders.import", "POST", {"action": "retry", "id": "m1"}, **ADMIN)
    assert response.status_code == 404
    assert "no dead letter has the ID m1" in response.text and "row &lt;17&gt;" in response.text


def test_broker_that_is_down_is_stated_in_its_part_of_the_page(get, queues):
    def respond(request):
        if request.path == "/queues":
            request.send_json(200, {"is_connected": True, "queues": [QUEUE]})
        else:
            request.send_json(503, {"detail": "no worker is connected to RabbitMQ"})

    queues["orders"].respond = respond
    page = get("/console/messages/orders.import", **ADMIN)
    assert page.status_code == 200
    assert "no worker is connected to RabbitMQ" in page.text and "1,234" in page.text


@pytest.mark.parametrize("queue", ["orders.unknown", "unknown.import", "orders", "..", "a%20b"])
def test_unknown_queue_is_not_found(get, queues, queue):
    queues["orders"].respond = lambda request: (
        request.send_json(200, {"is_connected": True, "queues": [QUEUE]})
        if request.path == "/queues"
        else request.send_json(404, {"detail": "unknown queue"})
    )
    assert get(f"/console/messages/{queue}", **ADMIN).status_code == 404
    assert get(f"/dead-letters/{queue}", **ADMIN).status_code == 404


@pytest.mark.parametrize("action", ["purge", ""])
def test_unknown_action_is_rejected(get, queues, action):
    assert get("/console/messages/orders.import", "POST", {"action": action}, **ADMIN).status_code == 400
    assert queues["orders"].changes == []


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/dead-letters"),
        ("GET", "/dead-letters/orders.import"),
        ("POST", "/dead-letters/orders.import/retry"),
        ("DELETE", "/dead-letters/orders.import"),
        ("GET", "/console/messages"),
        ("POST", "/console/messages/orders.import"),
    ],
)
def test_only_admins_see_and_change_queues(get, queues, method, path):
    assert get(path, method, **WRITER).status_code == 403
    assert all(not service.requests for service in queues.values())


def test_navigation_offers_the_page_to_admins_only(get, queues):
    assert 'href="/console/messages"' in get("/", **ADMIN).text
    assert 'href="/console/messages"' not in get("/", **WRITER).text
