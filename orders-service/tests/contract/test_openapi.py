from pathlib import Path

import pytest

from quintet_testing.fuzzing import fuzz

DOCUMENT = Path(__file__).parents[2] / "openapi.yaml"


def test_openapi_yaml_is_what_the_code_generates(client):
    assert client.get("/openapi.yaml").text == DOCUMENT.read_text(encoding="utf-8")


@pytest.mark.fuzz
def test_responses_to_fuzzed_requests_match_the_document(app, db):
    fuzz(app, stricter_than_schema=("import_orders", "undo_import", "delete_order"))
