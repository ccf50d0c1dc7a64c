import json
from pathlib import Path

import jsonschema_rs
import pytest

PUBLISHES = Path(__file__).parents[2] / "contracts" / "publishes"


@pytest.fixture
def publish_event(client, outbox):
    """Create a sequence, issue `count` numbers of it, and return the only event that this publishes."""

    def publish_event(count, **definition):
        assert client.put("/sequences/inv", json={"minimum": 1, **definition}).status_code == 201
        assert client.post("/sequences/inv/next", json={"n": count}).status_code == 200
        ((_, body),) = outbox()
        return body

    return publish_event


@pytest.mark.parametrize(
    ("name", "count", "definition"),
    [
        ("SequenceWrapped", 3, {"maximum": 3, "cycle": True}),
        ("SequenceNearlyExhausted", 10, {"maximum": 10, "cycle": False}),
    ],
)
def test_published_event_matches_its_contract(publish_event, name, count, definition):
    body = publish_event(count, **definition)
    assert body["event"]["name"] == name
    jsonschema_rs.validator_for(json.loads((PUBLISHES / f"{name}.v1.json").read_text())).validate(body)


def test_event_of_a_sequence_that_restarts_matches_its_contract(publish_event):
    body = publish_event(9, maximum=9, reset="day", format="{year}{month:02d}{day:02d}{}")
    contract = json.loads((PUBLISHES / "SequenceNearlyExhausted.v1.json").read_text())
    jsonschema_rs.validator_for(contract).validate(body)
    assert "period" in body["payload"]


@pytest.mark.parametrize("change", [{"next": 50}, {"maximum": 200}])
def test_change_matches_its_contract(client, outbox, change):
    client.put("/sequences/inv", json={"minimum": 1, "maximum": 99})
    client.patch("/sequences/inv", json=change)
    ((_, body),) = outbox()
    jsonschema_rs.validator_for(json.loads((PUBLISHES / "SequenceAdvanced.v1.json").read_text())).validate(body)


def test_every_contract_has_an_event_that_is_validated_against_it():
    assert {file.name for file in PUBLISHES.iterdir()} == {
        "SequenceWrapped.v1.json",
        "SequenceNearlyExhausted.v1.json",
        "SequenceAdvanced.v1.json",
    }
