"""Of many first writers at once one wins."""

import secrets

from quintet_e2e.clients import all_at_once
from quintet_e2e.streams import body, events_of, path_of

WRITERS = 20
ROUNDS = 10


def test_of_twenty_first_writers_one_owns_the_stream_and_its_only_event(client):
    for _ in range(ROUNDS):
        stream = f"race {secrets.token_hex(4)}"

        def write(number, stream=stream):
            headers = {"X-Producer-ID": f"producer-{number}"}
            answer = client.post(f"{path_of(stream)}/events", json=body(by=number), headers=headers)
            return answer.status_code, answer.json()

        answers = all_at_once(WRITERS, write)
        won = [number for number, (status, _) in enumerate(answers) if status == 200]
        assert len(won) == 1, answers
        lost = [answer for number, answer in enumerate(answers) if number not in won]
        assert lost == [(423, "Locked - Second writers not allowed")] * (WRITERS - 1)
        (event,) = events_of(client, stream)
        assert event["event"]["id"] == answers[won[0]][1]
        assert (event["producer"], event["payload"]) == (f"producer-{won[0]}", {"by": won[0]})
        assert (event["sequence"], event["position"]) == (1, 1)


def test_of_many_first_uses_of_one_key_one_has_an_effect(client):
    for _ in range(ROUNDS):
        stream = f"race {secrets.token_hex(4)}"
        headers = {"X-Producer-ID": "one", "Idempotency-Key": secrets.token_hex(8)}

        def write(_, stream=stream, headers=headers):
            answer = client.post(f"{path_of(stream)}/events", json=body(), headers=headers)
            return answer.status_code, answer.json()

        answers = all_at_once(WRITERS, write)
        assert {status for status, _ in answers} <= {200, 409}
        (event,) = events_of(client, stream)
        assert {told for status, told in answers if status == 200} == {event["event"]["id"]}
