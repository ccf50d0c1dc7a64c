import re
from pathlib import Path

import pytest

from quintet_testing.fuzzing import fuzz

DOCUMENT = Path(__file__).parents[2] / "openapi.yaml"


def test_document_equals_the_generated_one(client):
    assert client.get("/openapi.yaml").text == DOCUMENT.read_text(encoding="utf-8")


def test_every_path_works_with_and_without_a_trailing_slash_without_a_redirect(app):
    paths = app.url_map.bind("gateway")
    rules = [rule for rule in app.url_map.iter_rules() if rule.rule.startswith("/api/")]
    assert len(rules) > 15
    for rule in rules:
        path = re.sub("<[^>]+>", "1", rule.rule).rstrip("/")
        for method in rule.methods - {"HEAD", "OPTIONS"}:
            for variant in (path, f"{path}/"):
                assert paths.match(variant, method)[0] == rule.endpoint


@pytest.mark.fuzz
@pytest.mark.timeout(600)
def test_responses_to_fuzzed_requests_are_documented(app, db):
    # Rules that the schema cannot express: arrays of equal length, from <= to, bucket widths, current ETags.
    charts = (
        "get_factory",
        "get_chart_data",
        "get_production_actual",
        "get_production_goal",
        "get_times",
        "get_attainment",
        "download_points",
    )
    with_key = ("create_sprocket", "create_sprocket_by_path", "submit_production")
    with_etag = ("delete_factory", "delete_sprocket", "update_sprocket", "update_sprocket_by_path")
    stricter_operations = ("create_factory", "load_file", *charts, *with_etag, *with_key)
    fuzz(app, stricter_than_schema=stricter_operations, validated_later=("load_file",))
