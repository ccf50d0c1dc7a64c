"""The trace of a request through all services, as JSON and in a browser."""

import secrets

import pytest
from playwright.sync_api import expect

from quintet_e2e.browser import open_page
from quintet_e2e.clients import ok_json
from quintet_e2e.stacks import ON_ONE_STACK
from quintet_testing.waiting import eventually

CSV = b"name,email,birthday,state,zip,id\n"


@pytest.fixture
def request_id(client):
    return f"{client.request_id_prefix}.trace_{secrets.token_hex(4)}"


@pytest.fixture
def sequence(client):
    name = f"traced-{secrets.token_hex(4)}"
    ok_json(client.put(f"/sequences/{name}", json={"minimum": 1, "maximum": 10, "audit": True}))
    return name


@pytest.fixture
def trace(client):
    return lambda request_id: ok_json(client.get(f"/trace/{request_id}"))


def issue_all(client, sequence, request_id):
    """Issue all numbers, which causes an event too, and return once it is in its stream."""
    ok_json(client.post(f"/sequences/{sequence}/next", json={"n": 10}, headers={"X-Request-ID": request_id}))


def test_numbers_and_the_event_that_they_cause_are_in_one_trace(client, sequence, request_id, trace):
    issue_all(client, sequence, request_id)

    def appended():
        return [entry for entry in trace(request_id)["entries"] if entry["service"] == "event-service"]

    (event,) = eventually(appended)
    body = trace(request_id)
    (number,) = (entry for entry in body["entries"] if entry["kind"] == "number")
    assert (number["service"], number["what"], number["id"]) == ("sequence-service", f"1 to 10 of {sequence}", sequence)
    assert (event["kind"], event["what"]) == ("event", "SequenceNearlyExhausted in sequence")
    assert number["at"] < event["at"]
    assert (body["request_id"], body["unavailable"], body["incomplete"]) == (request_id, [], [])
    assert ok_json(client.get(f"/api/v1/events/{event['id']}"))["request_id"] == request_id


def test_only_admins_receive_traces(stack, writer, request_id):
    assert writer.get(f"/trace/{request_id}").status_code == 403


@pytest.mark.slow
@pytest.mark.fault
def test_stopped_service_is_named_and_the_others_are_shown(client, stack, sequence, request_id, trace):
    issue_all(client, sequence, request_id)
    stack.stop("orders-web")
    try:
        eventually(lambda: trace(request_id)["unavailable"] == ["orders-service"])
        assert any(entry["id"] == sequence for entry in trace(request_id)["entries"])
    finally:
        stack.start("orders-web")
    eventually(lambda: trace(request_id)["unavailable"] == [])


@ON_ONE_STACK
def test_trace_is_opened_from_issued_numbers_and_by_its_form(browser, stack, client, sequence, request_id):
    issue_all(client, sequence, request_id)
    with open_page(browser, stack, f"/console/sequences/{sequence}") as page:
        page.get_by_role("link", name=f"Trace of {request_id}").click()
        expect(page.get_by_role("heading", level=1)).to_contain_text("Trace")
        expect(page.locator("tbody")).to_contain_text(f"1 to 10 of {sequence}")
        page.get_by_role("link", name=f"1 to 10 of {sequence}").click()
        expect(page.get_by_role("heading", level=1)).to_have_text(sequence)

        page.goto("/console/trace")
        page.get_by_label("Request ID").focus()
        page.keyboard.type("not valid")
        page.keyboard.press("Enter")
        expect(page.get_by_label("Request ID")).to_have_attribute("aria-invalid", "true")
        page.get_by_label("Request ID").fill(request_id)
        page.keyboard.press("Enter")
        expect(page.locator("tbody")).to_contain_text(f"1 to 10 of {sequence}")
