"""Files in and out over HTTP."""

import hashlib
import io
import threading
from dataclasses import replace
from pathlib import Path

import pytest

CONTENT = bytes(range(256)) * 2000


@pytest.fixture
def client(client):
    """Reads each answer to its end."""
    ask = client.open

    def read(*args, **kwargs):
        answer = ask(*args, **kwargs)
        answer.get_data()
        return answer

    client.open = read
    return client


@pytest.fixture
def put(client, a_token, workers):
    def put(path="reds.csv", content=CONTENT, owner="ann", user="ann", **more):
        return client.put(f"/source/{owner}/files/{path}", data=content, headers={"Auth-Token": a_token(user), **more})

    return put


@pytest.fixture
def stored(settings):
    """What lies in the store, and what is on its way there."""
    return lambda: [path for path in Path(settings.data_dir).rglob("*") if path.is_file()]


@pytest.fixture
def flow(api, workers, put):
    """A flow with a file of bytes."""

    def flow(findability="published"):
        put("blob.bin")
        flow = api.uploaded(findability=findability, resources=[{"name": "blob", "path": "blob.bin"}])
        workers.run_all()
        assert api.status(flow).json["state"] == "SUCCEEDED", api.status(flow).json
        return flow

    return flow


def test_a_file_is_kept_whole(put, stored):
    answer = put("some folder/reds.csv")
    assert (answer.status_code, answer.json) == (
        200,
        {
            "path": "some folder/reds.csv",
            "bytes": len(CONTENT),
            "hash": f"sha256:{hashlib.sha256(CONTENT).hexdigest()}",
        },
    )
    (path,) = stored()
    assert path.read_bytes() == CONTENT


def test_the_same_again_is_one_file_and_a_newer_one_takes_its_place(put, stored):
    for content in (CONTENT, CONTENT, b"new", b""):
        assert put(content=content).status_code == 200
    (path,) = stored()
    assert path.read_bytes() == b""


@pytest.mark.parametrize(
    "path", ["a", "ä/ü €.csv", "a" * 1000, "%3Cscript%3E", "a'b\"c;--", "a/b/c/d", "...", "-", "~"]
)
def test_names_may_be_odd(put, stored, path):
    assert put(path).status_code == 200, path
    assert len(stored()) == 1


def test_a_name_may_be_that_of_a_folder_too(put, stored):
    assert [put(path).status_code for path in ("a", "a/b", "a/b/c")] == [200] * 3
    assert len(stored()) == 3


@pytest.mark.parametrize(
    "path",
    ["..", "../x", "a/../../x", "%2e%2e/x", ".", "a/./b", "a//b", "/etc/passwd", "a/", "a\\..\\b", "a%00b", "a%0Ab",
     "a%7Fb", "C:/x", "http://127.0.0.1/x", "a%2Fb", "%ff", "a" * 1025],
)  # fmt: skip
def test_names_that_lead_elsewhere_are_refused(put, stored, path):
    answer = put(path)
    assert answer.status_code in (400, 404, 405), (path, answer.data)
    assert answer.content_type.startswith("application/problem+json")
    assert stored() == []


def test_only_the_owner_may_send(client, put, stored):
    assert put(user="bob").status_code == 403
    assert put(owner="..").status_code in (400, 404)
    assert client.put("/source/ann/files/x", data=b"x").status_code == 401
    assert client.put("/source/ann/files/x", data=b"x", headers={"Auth-Token": "x.y.z"}).status_code == 401
    assert stored() == []


def test_what_cannot_be_a_file_is_refused(put, stored):
    assert put(Content_Encoding="gzip").status_code == 415
    assert put(**{"Content-Range": "bytes 0-1/2"}).status_code == 400
    assert stored() == []


def test_more_than_the_largest_size_is_refused_and_leaves_nothing(app, put, stored, monkeypatch, settings):
    small = settings.model_copy(update={"source_bytes": 100_000})
    monkeypatch.setitem(app.extensions, "specstore", replace(app.extensions["specstore"], settings=small))
    assert put(content=b"x" * 100_000).status_code == 200
    answer = put("large", content=b"x" * 100_001)
    assert answer.status_code == 413 and "100000" in answer.json["detail"]
    assert len(stored()) == 1


@pytest.fixture
def little_room(app, monkeypatch, settings):
    small = settings.model_copy(update={"owner_bytes": 100_000})
    monkeypatch.setitem(app.extensions, "specstore", replace(app.extensions["specstore"], settings=small))


def test_an_owner_may_keep_so_much_and_no_more(client, put, stored, a_token, little_room):
    assert [put(name, b"x" * 40_000).status_code for name in ("a", "b", "c")] == [200, 200, 413]
    answer = put("c", b"x" * 20_001)
    assert answer.status_code == 413 and "100000" in answer.json["detail"]
    # In the place of an older one, of another owner, and up to the last byte.
    assert put("a", b"x" * 60_000).status_code == 200
    assert put("a", b"x" * 60_001).status_code == 413
    assert put("a", b"x" * 100_000, owner="bob", user="bob").status_code == 200
    assert sorted(path.stat().st_size for path in stored()) == [40_000, 60_000, 100_000]
    deleted = client.delete("/source/ann/files/b", headers={"Auth-Token": a_token()})
    assert (deleted.status_code, deleted.data) == (204, b"")
    assert put("c", b"x" * 40_000).status_code == 200


def test_a_length_that_was_not_announced_is_counted_too(client, a_token, stored, workers, little_room):
    def send(size):
        return client.put(
            "/source/ann/files/a",
            headers={"Auth-Token": a_token(), "Transfer-Encoding": "chunked"},
            input_stream=io.BytesIO(b"x" * size),
            environ_overrides={"wsgi.input_terminated": True},
        ).status_code

    assert (send(100_001), stored()) == (413, [])
    assert send(100_000) == 200


def test_a_file_is_removed_by_its_owner_only_and_what_was_made_of_it_stays(client, a_token, flow, api, workers):
    made = flow()
    for user, status in (("bob", 403), ("ann", 204), ("ann", 204)):
        answer = client.delete("/source/ann/files/blob.bin", headers={"Auth-Token": a_token(user)})
        assert answer.status_code == status
    assert client.delete("/source/ann/files/blob.bin").status_code == 401
    assert client.delete("/source/ann/files/..", headers={"Auth-Token": a_token()}).status_code in (400, 404, 405)
    assert client.get(f"/source/{made}/data/blob.bin").data == CONTENT
    again = api.post(f"{made}/retry").json["flow_id"]
    workers.run_all()
    assert "blob: blob.bin was not uploaded" in api.status(again).json["error_log"]


def test_of_many_at_once_one_is_kept_whole(app, a_token, workers, stored):
    contents = [bytes([number]) * 300_000 for number in range(8)]
    headers = {"Auth-Token": a_token()}

    def send(content):
        assert app.test_client().put("/source/ann/files/x", data=content, headers=headers).status_code == 200

    threads = [threading.Thread(target=send, args=[content]) for content in contents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (path,) = stored()
    assert path.read_bytes() in contents


def test_a_file_comes_with_type_size_and_tag(api, client, flow):
    answer = client.get(f"/source/{flow()}/data/blob.bin")
    assert answer.data == CONTENT
    assert answer.headers["Content-Length"] == str(len(CONTENT))
    assert answer.headers["ETag"] == f'"{hashlib.sha256(CONTENT).hexdigest()}"'
    assert answer.headers["Accept-Ranges"] == "bytes"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Content-Disposition"].startswith("attachment")
    assert answer.content_type == "application/octet-stream"
    head = client.head("/source/ann/wines/1/data/blob.bin")
    assert (head.status_code, head.data, head.headers["Content-Length"]) == (200, b"", str(len(CONTENT)))
    assert client.get("/source/ann/wines/latest/data/datapackage.json").content_type == "application/json"


@pytest.mark.parametrize(
    ("asked", "start", "stop"),
    [("bytes=0-0", 0, 1), ("bytes=0-", 0, None), ("bytes=100-199", 100, 200), ("bytes=-5", -5, None),
     ("bytes=300000-299999999", 300000, None), ("bytes=511999-", 511999, None)],
)  # fmt: skip
def test_a_part_is_given(client, flow, asked, start, stop):
    answer = client.get(f"/source/{flow()}/data/blob.bin", headers={"Range": asked})
    part = CONTENT[start:stop]
    first = start % len(CONTENT)
    assert (answer.status_code, answer.data) == (206, part)
    assert answer.headers["Content-Range"] == f"bytes {first}-{first + len(part) - 1}/{len(CONTENT)}"
    assert answer.headers["Content-Length"] == str(len(part))


@pytest.mark.parametrize("asked", ["bytes=512000-", "bytes=600000-700000"])
def test_a_part_that_is_not_there_is_told(client, flow, asked):
    answer = client.get(f"/source/{flow()}/data/blob.bin", headers={"Range": asked})
    assert (answer.status_code, answer.headers["Content-Range"]) == (416, f"bytes */{len(CONTENT)}")


@pytest.mark.parametrize("asked", ["bytes=0-1,5-9", "lines=1-2", "bytes=x", "bytes=9-2", "x", "bytes=--1"])
def test_what_is_no_single_part_gives_the_whole(client, flow, asked):
    answer = client.get(f"/source/{flow()}/data/blob.bin", headers={"Range": asked})
    assert (answer.status_code, answer.data) == (200, CONTENT)


def test_what_is_known_is_not_sent_again(client, flow):
    url = f"/source/{flow()}/data/blob.bin"
    tag = client.get(url).headers["ETag"]
    for known in (tag, f"W/{tag}", f'"x", {tag}', "*"):
        answer = client.get(url, headers={"If-None-Match": known})
        assert (answer.status_code, answer.data, answer.headers["ETag"]) == (304, b"", tag)
    assert client.get(url, headers={"If-None-Match": '"x"'}).status_code == 200
    assert client.get(url, headers={"Range": "bytes=0-1", "If-Range": tag}).status_code == 206
    for other in ('"x"', f"W/{tag}", "Sun, 22 Nov 2026 00:00:00 GMT"):
        assert client.get(url, headers={"Range": "bytes=0-1", "If-Range": other}).status_code == 200


def test_private_files_are_the_owners(client, a_token, flow):
    url = f"/source/{flow('private')}/data/blob.bin"
    assert client.get(url).status_code == 404
    assert client.get(url, headers={"Auth-Token": a_token("bob")}).status_code == 404
    assert client.get(url, headers={"Auth-Token": a_token()}).data == CONTENT
    assert client.get(f"{url}?jwt={a_token()}").data == CONTENT


@pytest.mark.parametrize("file", ["nothing.csv", "..", "../1/data/blob.bin", "%2e%2e", "blob.bin%00", "a" * 500, ".x"])
def test_what_is_not_there_is_not_found(client, flow, file):
    answer = client.get(f"/source/{flow()}/data/{file}")
    assert answer.status_code in (400, 404) and answer.content_type.startswith("application/problem+json")


def test_nothing_is_there_before_its_pipeline_has_ended(client, api, workers):
    flow = api.uploaded()
    assert client.get(f"/source/{flow}/data/reds.csv").status_code == 404
    workers.run(f"{flow}/reds_csv")
    assert client.get(f"/source/{flow}/data/reds.csv").status_code == 200
    assert client.get(f"/source/{flow}/data/datapackage.json").status_code == 404
