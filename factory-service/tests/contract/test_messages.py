import json
from pathlib import Path

import jsonschema_rs
import pytest

CONTRACTS = Path(__file__).parents[2] / "contracts"
SAMPLES = Path(__file__).parents[2] / "samples"


def contract(side, name):
    return jsonschema_rs.validator_for(json.loads((CONTRACTS / side / f"{name}.v1.json").read_text()))


@pytest.fixture
def said(client, db, outbox, a_factory, a_sprocket, work):
    """All that this service can say."""
    id_ = a_factory(3)
    client.post(f"/api/factory/{id_}/production", json={"time": 1, "actual": -1, "goal": 2})
    sprocket = a_sprocket()
    client.patch(f"/api/sprocket/{sprocket}", json={"teeth": 9})
    client.delete(f"/api/sprocket/{sprocket}")
    sample = (SAMPLES / "seed_sprocket_types.json").read_bytes()
    client.post("/api/factories/load", data=sample, content_type="application/json")
    jobs = [(name, body) for name, body in outbox() if "." in name]
    work()
    client.delete(f"/api/factory/{id_}")
    return jobs + outbox()


def test_what_it_publishes_keeps_the_contract(said):
    for name, body in said:
        contract("publishes", name).validate(body)
    assert {name for name, _ in said} == {file.name.removesuffix(".v1.json") for file in CONTRACTS.glob("publishes/*")}


def test_what_it_relies_on_is_what_it_says_to_itself(said):
    jobs = {name: body for name, body in said if "." in name}
    assert jobs.keys() == {file.name.removesuffix(".v1.json") for file in CONTRACTS.glob("consumes/*")}
    for name, body in jobs.items():
        contract("consumes", name).validate(body)
