"""Exactly one of many concurrent first writers succeeds."""

import secrets

import pytest

from quintet_e2e.clients import run_concurrently
from quintet_e2e.stacks import ALSO_ON_REPLICAS
from quintet_e2e.streams import event_body, read_events, stream_path

pytestmark = ALSO_ON_REPLICAS

WRITERS = 20
ROUNDS = 10


@pytest.mark.slow
def test_one_of_twenty_concurrent_first_writers_owns_stream_and_its_only_event(client):
    for _ in range(ROUNDS):
        stream = f"race {secrets.token_hex(4)}"

        def write(number, stream=stream):
            headers = {"X-Producer-ID": f"producer-{number}"}
            response = client.post(f"{stream_path(stream)}/events", json=event_body(by=number), headers=headers)
            return response.status_code, response.json()

        responses = run_concurrently(WRITERS, write)
        winners = [number for number, (status, _) in enumerate(responses) if status == 200]
        assert len(winners) == 1, responses
        rejections = [response for number, response in enumerate(responses) if number not in winners]
        assert rejections == [(423, "Locked - Second writers not allowed")] * (WRITERS - 1)
        (event,) = read_events(client, stream)
        assert event["event"]["id"] == responses[winners[0]][1]
        assert (event["producer"], event["payload"]) == (f"producer-{winners[0]}", {"by": winners[0]})
        assert (event["sequence"], event["position"]) == (1, 1)


@pytest.mark.slow
def test_one_of_many_concurrent_requests_with_same_key_takes_effect(client):
    for _ in range(ROUNDS):
        stream = f"race {secrets.token_hex(4)}"
        headers = {"X-Producer-ID": "one", "Idempotency-Key": secrets.token_hex(8)}

        def write(_, stream=stream, headers=headers):
            response = client.post(f"{stream_path(stream)}/events", json=event_body(), headers=headers)
            return response.status_code, response.json()

        responses = run_concurrently(WRITERS, write)
        assert {status for status, _ in responses} <= {200, 409}
        (event,) = read_events(client, stream)
        assert {event_id for status, event_id in responses if status == 200} == {event["event"]["id"]}
