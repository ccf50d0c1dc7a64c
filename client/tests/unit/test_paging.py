"""Lists that change while they are read. Each test runs with both clients."""

import json
from urllib.parse import parse_qs, urlsplit

import pytest

SPROCKET = {"teeth": 5, "pitch_diameter": 5, "outside_diameter": 6, "pitch": 1}


@pytest.fixture
def list_sprockets(server, call):
    """Return a function that lists the sprockets of `pages`, each `(IDs, total)`: the IDs and the requested offsets."""

    def run(*pages):
        for ids, total in pages:
            sprockets = [{**SPROCKET, "id": id_} for id_ in ids]
            server.reply(200, json.dumps({"sprockets": sprockets, "total": total}).encode())
        ids = [sprocket.id for sprocket in call(lambda client: client.sprockets.list())]
        offsets = [int(parse_qs(urlsplit(path).query)["offset"][0]) for _, path, _, _ in server.requests]
        return ids, offsets

    return run


def test_all_pages_are_read(list_sprockets):
    pages = (range(1000), 2001), (range(1000, 2000), 2001), ([2000], 2001)
    assert list_sprockets(*pages) == ([*range(2001)], [0, 1000, 2000])


def test_entries_that_others_moved_to_the_next_page_are_yielded_once(list_sprockets):
    # The entry -1 was added at the beginning, as the newest import is.
    assert list_sprockets((range(1000), 1001), ([999, 1000], 1002)) == ([*range(1001)], [0, 1000])


def test_entries_that_moved_to_the_previous_page_are_not_skipped(list_sprockets):
    # The first three entries were deleted.
    pages = (range(1000), 1010), (range(1003, 1010), 1007), (range(1000, 1010), 1007)
    assert list_sprockets(*pages) == ([*range(1010)], [0, 1000, 997])


def test_empty_list(list_sprockets):
    assert list_sprockets(([], 0)) == ([], [0])
