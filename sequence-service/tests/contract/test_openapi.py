from pathlib import Path

import pytest

from quintet_testing.fuzzing import fuzz

DOCUMENT = Path(__file__).parents[2] / "openapi.yaml"


def test_document_equals_what_the_code_generates(client):
    assert client.get("/openapi.yaml").text == DOCUMENT.read_text(encoding="utf-8")


@pytest.mark.fuzz
def test_every_response_to_a_fuzzed_request_is_documented(app, db):
    fuzz(app, stricter_than_schema=("create_sequence", "issue_numbers"))
