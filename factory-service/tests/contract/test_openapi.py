from pathlib import Path

import pytest

from quintet_testing.fuzzing import fuzz

DOCUMENT = Path(__file__).parents[2] / "openapi.yaml"


def test_the_document_is_what_the_code_generates(client):
    assert client.get("/openapi.yaml").text == DOCUMENT.read_text(encoding="utf-8")


@pytest.mark.timeout(600)
def test_every_answer_to_a_fuzzed_request_is_in_the_document(app, db):
    # Arrays of one length, from before to, what is a width, an ETag that the thing has.
    cuts = ("get_chart_data", "get_production_actual", "get_production_goal", "get_time", "get_attainment")
    keyed = ("create_sprocket", "create_sprocket_by_path", "take_production")
    changes = ("delete_factory", "delete_sprocket", "change_sprocket", "update_sprocket_by_path")
    fuzz(app, stricter_than_schema=("create_factory", "load_file", *cuts, *changes, *keyed))
