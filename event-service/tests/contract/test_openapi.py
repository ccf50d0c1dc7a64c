from pathlib import Path

import pytest

from event_service.app import create_app
from quintet_testing.fuzzing import fuzz

DOCUMENT = Path(__file__).parents[2] / "openapi.yaml"


def test_document_equals_what_the_code_generates(client):
    assert client.get("/openapi.yaml").text == DOCUMENT.read_text(encoding="utf-8")


@pytest.mark.fuzz
@pytest.mark.timeout(900)
def test_every_response_to_a_fuzzed_request_is_documented(settings, db):
    # Rules beyond a schema: combined parameters, dates, time zones, valid JSON Schemas, reserved streams, the positions
    # of a stream.
    stricter_operations = (
        "append_events",
        "read_events",
        "acknowledge_event",
        "set_schema",
        "delete_schema",
        "set_offset",
        "follow_stream",
    )
    app = create_app(settings)
    # Otherwise each live stream would last until its client leaves.
    app.is_stopping = lambda: True
    fuzz(app, stricter_than_schema=stricter_operations)
