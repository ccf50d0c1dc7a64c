import json
from pathlib import Path

import jsonschema_rs
import pytest

CONTRACTS = Path(__file__).parents[2] / "contracts"
SAMPLES = Path(__file__).parents[2] / "samples"


def contract_validator(direction, name):
    return jsonschema_rs.validator_for(json.loads((CONTRACTS / direction / f"{name}.v1.json").read_text()))


def contract_names(direction):
    return {file.name.removesuffix(".v1.json") for file in CONTRACTS.glob(f"{direction}/*")}


@pytest.fixture
def messages(client, db, outbox, a_factory, a_sprocket, run_jobs):
    """Messages of every type that this service publishes, as (name, body)."""
    id_ = a_factory(3)
    client.post(f"/api/factory/{id_}/production", json={"time": 1, "actual": -1, "goal": 2})
    sprocket = a_sprocket()
    client.patch(f"/api/sprocket/{sprocket}", json={"teeth": 9})
    client.delete(f"/api/sprocket/{sprocket}")
    sample = (SAMPLES / "seed_sprocket_types.json").read_bytes()
    client.post("/api/factories/load", data=sample, content_type="application/json")
    client.post(f"/api/factory/{id_}/production", data=b"time,actual,goal\n2,1,1\n", content_type="text/csv")
    jobs = [(name, body) for name, body in outbox() if "." in name]
    run_jobs()
    client.delete(f"/api/factory/{id_}")
    return jobs + outbox()


def test_published_messages_match_their_contracts(messages):
    for name, body in messages:
        contract_validator("publishes", name).validate(body)
    assert {name for name, _ in messages} == contract_names("publishes")


def test_published_jobs_match_the_contracts_of_their_consumer(messages):
    jobs = {name: body for name, body in messages if "." in name}
    assert jobs.keys() == contract_names("consumes")
    for name, body in jobs.items():
        contract_validator("consumes", name).validate(body)
