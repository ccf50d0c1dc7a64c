from pathlib import Path

import pytest
import yaml

from quintet_testing.fuzzing import fuzz

DOCUMENT = Path(__file__).parents[2] / "openapi.yaml"


def test_document_equals_generated_document(client):
    assert client.get("/openapi.yaml").text == DOCUMENT.read_text(encoding="utf-8")


def test_example_spec_of_the_document_can_be_uploaded(client, a_token):
    (example,) = yaml.safe_load(client.get("/openapi.yaml").data)["components"]["schemas"]["Spec"]["examples"]
    response = client.post("/source/upload", json=example, headers={"Auth-Token": a_token(example["meta"]["ownerid"])})
    assert (response.status_code, response.json["flow_id"]) == (200, "admin/wines/1")


# Generating specs takes long because they are large.
@pytest.mark.fuzz
@pytest.mark.timeout(900)
def test_responses_to_fuzzed_requests_match_the_document(app, db):
    """Fuzz the operations that are stricter than their schema: permissions, reserved names and locations of data."""
    stricter_operations = (
        "upload_spec",
        "plan_spec",
        "update_pipeline",
        "cancel_flow",
        "retry_flow",
        "issue_token",
        "upload_file",
        "delete_file",
        "list_datasets_of_owner",
        "list_pipelines",
    )
    fuzz(app, stricter_than_schema=stricter_operations, max_examples=10)
