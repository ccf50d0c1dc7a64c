import json
from pathlib import Path

import jsonschema_rs
import pytest

PUBLISHES = Path(__file__).parents[2] / "contracts" / "publishes"


@pytest.fixture
def told(client, outbox):
    """Makes a sequence, draws so many numbers from it, and gives the only event that this causes."""

    def tell(count, **spec):
        assert client.put("/sequences/told", json={"minimum": 1, **spec}).status_code == 201
        assert client.post("/sequences/told/next", json={"n": count}).status_code == 200
        ((_, body),) = outbox()
        return body

    return tell


@pytest.mark.parametrize(
    ("name", "count", "spec"),
    [
        ("SequenceWrapped", 3, {"maximum": 3, "cycle": True}),
        ("SequenceNearlyExhausted", 10, {"maximum": 10, "cycle": False}),
    ],
)
def test_what_it_publishes_keeps_the_contract(told, name, count, spec):
    body = told(count, **spec)
    assert body["event"]["name"] == name
    jsonschema_rs.validator_for(json.loads((PUBLISHES / f"{name}.v1.json").read_text())).validate(body)


def test_every_contract_has_a_message_that_was_checked_against_it():
    assert {file.name for file in PUBLISHES.iterdir()} == {"SequenceWrapped.v1.json", "SequenceNearlyExhausted.v1.json"}
