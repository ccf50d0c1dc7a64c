from pathlib import Path

import pytest

from chassis.testing import fuzz

DOCUMENT = Path(__file__).parents[2] / "openapi.yaml"


def test_the_document_is_what_the_code_generates(client):
    assert client.get("/openapi.yaml").text == DOCUMENT.read_text(encoding="utf-8")


# Specs are large to make up.
@pytest.mark.timeout(900)
def test_every_answer_to_a_fuzzed_request_is_in_the_document(app, db):
    """Who may do something is in no schema, nor is what a schedule or a place of data looks like."""
    stricter = ("upload", "show_plan", "update", "cancel", "retry", "issue_token", "put_file")
    fuzz(app, stricter_than_schema=stricter, most_examples=10)
