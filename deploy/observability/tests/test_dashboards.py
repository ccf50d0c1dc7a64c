"""The dashboards of Grafana: generated, with valid queries."""

import json

import pytest
import yaml

from quintet_e2e.prometheus import dashboard_queries, promtool
from quintet_observability import dashboards


@pytest.mark.parametrize("board", dashboards.ALL, ids=lambda board: board.title)
def test_committed_dashboard_is_the_generated_one(board):
    assert board.file.read_text() == board.to_json(), "run `make dashboards`"


def test_folder_contains_only_generated_dashboards():
    assert set(dashboards.FOLDER.iterdir()) == {board.file for board in dashboards.ALL}


@pytest.mark.parametrize("board", dashboards.ALL, ids=lambda board: board.title)
def test_each_panel_has_a_place_of_its_own(board):
    panels = json.loads(board.file.read_text())["panels"]
    cells = [
        (panel["gridPos"]["x"] + x, panel["gridPos"]["y"] + y)
        for panel in panels
        for x in range(panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["h"])
    ]
    assert len(set(cells)) == len(cells)
    assert max(x for x, _ in cells) < 24


def test_each_query_is_valid(tmp_path):
    rules = [{"record": f"panel:{index}", "expr": query} for index, query in enumerate(dashboard_queries())]
    assert len(rules) > 25
    file = tmp_path / "queries.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "dashboards", "rules": rules}]}))
    result = promtool("check", "rules", file)
    assert result.returncode == 0, result.stdout + result.stderr


def test_an_invalid_query_is_detected(tmp_path):
    file = tmp_path / "queries.yml"
    rules = [{"record": "panel:0", "expr": "sum by (service) (quintet_flows"}]
    file.write_text(yaml.safe_dump({"groups": [{"name": "dashboards", "rules": rules}]}))
    assert promtool("check", "rules", file).returncode == 1
