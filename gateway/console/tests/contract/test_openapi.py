from pathlib import Path

DOCUMENT = Path(__file__).parents[2] / "openapi.yaml"


def test_document_equals_what_the_code_generates(get):
    assert get("/openapi.yaml").text == DOCUMENT.read_text(encoding="utf-8")
