from pathlib import Path

import pytest
import yaml

from quintet_testing.fuzzing import fuzz

DOCUMENT = Path(__file__).parents[2] / "openapi.yaml"


def test_the_document_is_what_the_code_generates(client):
    assert client.get("/openapi.yaml").text == DOCUMENT.read_text(encoding="utf-8")


def test_the_spec_that_the_document_shows_can_be_uploaded(client, a_token):
    (shown,) = yaml.safe_load(client.get("/openapi.yaml").data)["components"]["schemas"]["Spec"]["examples"]
    answer = client.post("/source/upload", json=shown, headers={"Auth-Token": a_token(shown["meta"]["ownerid"])})
    assert (answer.status_code, answer.json["flow_id"]) == (200, "admin/wines/1")


# Specs are large to make up.
@pytest.mark.timeout(900)
def test_every_answer_to_a_fuzzed_request_is_in_the_document(app, db):
    """Who may do something is in no schema, nor is which names are taken, or what a place of data looks like."""
    stricter = (
        "upload",
        "show_plan",
        "update",
        "cancel",
        "retry",
        "issue_token",
        "put_file",
        "delete_file",
        "list_datasets",
        "list_pipelines",
    )
    fuzz(app, stricter_than_schema=stricter, max_examples=10)
