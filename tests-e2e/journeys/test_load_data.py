"""`make load-data` loads each entry of a file once, and states why a file cannot be loaded."""

import json
import secrets

import pytest

from quintet_local import loading
from quintet_local.progress import StackError


@pytest.fixture
def load(stack, tmp_path, capsys):
    """Return a function that loads a file with this content and returns the messages."""
    file = tmp_path / "plant.json"

    def load_document(document):
        file.write_text(json.dumps(document))
        loading.load(stack.client_url(), [str(file)])
        return capsys.readouterr().err

    return load_document


def test_entries_that_exist_are_skipped(load):
    points = [secrets.randbelow(10**9), 2]
    chart = {"sprocket_production_actual": points, "sprocket_production_goal": [1, 1], "time": [1, 2]}
    document = {"factories": [{"factory": {"chart_data": chart}}]}
    assert "plant.json: 1 factories, 2 points; 0 existing entries were skipped\n" in load(document)
    assert "plant.json: nothing new; 1 existing entries were skipped\n" in load(document)


def test_invalid_file_is_reported(load):
    with pytest.raises(StackError, match=r"plant\.json could not be loaded: .*factories must be an array$"):
        load({"factories": 5})
