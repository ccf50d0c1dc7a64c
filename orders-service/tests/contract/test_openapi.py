from pathlib import Path

import pytest
import schemathesis

from orders_service.routes.forms import WORKBOOK
from quintet_testing.fuzzing import fuzz

# Workbooks are generated as arbitrary bytes.
schemathesis.serializer(WORKBOOK)(lambda _, value: str(value).encode("utf-8", "replace"))

DOCUMENT = Path(__file__).parents[2] / "openapi.yaml"


def test_openapi_yaml_is_what_the_code_generates(client):
    assert client.get("/openapi.yaml").text == DOCUMENT.read_text(encoding="utf-8")


@pytest.mark.fuzz
def test_responses_to_fuzzed_requests_match_the_document(app, db):
    fuzz(app, stricter_than_schema=("import_orders", "undo_import", "delete_order"))
