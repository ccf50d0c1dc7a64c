"""Files are uploaded, downloaded and deleted over HTTP."""

import hashlib
import io
import threading
from dataclasses import replace
from pathlib import Path

import pytest

CONTENT = bytes(range(256)) * 2000


@pytest.fixture
def client(client):
    """Return a client that reads each response to its end, so that the file is closed."""
    open_without_reading = client.open

    def open_and_read(*args, **kwargs):
        response = open_without_reading(*args, **kwargs)
        response.get_data()
        return response

    client.open = open_and_read
    return client


@pytest.fixture
def put(client, a_token, workers):
    def put(path="reds.csv", content=CONTENT, owner="ann", user="ann", **headers):
        url = f"/source/{owner}/files/{path}"
        return client.put(url, data=content, headers={"Auth-Token": a_token(user), **headers})

    return put


@pytest.fixture
def list_stored(settings):
    """List the files in the object store, including the temporary ones of unfinished uploads."""
    return lambda: [path for path in Path(settings.data_dir).rglob("*") if path.is_file()]


@pytest.fixture
def run_flow(api, workers, put):
    """Run a flow that copies a binary file and return its ID."""

    def run_flow(findability="published"):
        put("blob.bin")
        flow = api.create_flow(findability=findability, resources=[{"name": "blob", "path": "blob.bin"}])
        workers.run_all()
        assert api.get(flow).json["state"] == "SUCCEEDED", api.get(flow).json
        return flow

    return run_flow


def test_uploaded_file_is_stored_unchanged(put, list_stored):
    response = put("some folder/reds.csv")
    assert (response.status_code, response.json) == (
        200,
        {
            "path": "some folder/reds.csv",
            "bytes": len(CONTENT),
            "hash": f"sha256:{hashlib.sha256(CONTENT).hexdigest()}",
        },
    )
    (path,) = list_stored()
    assert path.read_bytes() == CONTENT


def test_repeated_upload_replaces_the_file(put, list_stored):
    for content in (CONTENT, CONTENT, b"new", b""):
        assert put(content=content).status_code == 200
    (path,) = list_stored()
    assert path.read_bytes() == b""


@pytest.mark.parametrize(
    "path", ["a", "ä/ü €.csv", "a" * 1000, "%3Cscript%3E", "a'b\"c;--", "a/b/c/d", "...", "-", "~"]
)
def test_unusual_file_names_are_accepted(put, list_stored, path):
    assert put(path).status_code == 200, path
    assert len(list_stored()) == 1


def test_file_may_have_the_name_of_a_folder_of_another_file(put, list_stored):
    assert [put(path).status_code for path in ("a", "a/b", "a/b/c")] == [200] * 3
    assert len(list_stored()) == 3


@pytest.mark.parametrize(
    "path",
    ["..", "../x", "a/../../x", "%2e%2e/x", ".", "a/./b", "a//b", "/etc/passwd", "a/", "a\\..\\b", "a%00b", "a%0Ab",
     "a%7Fb", "C:/x", "http://127.0.0.1/x", "a%2Fb", "%ff", "a" * 1025],
)  # fmt: skip
def test_path_traversal_is_rejected(put, list_stored, path):
    response = put(path)
    assert response.status_code in (400, 404, 405), (path, response.data)
    assert response.content_type.startswith("application/problem+json")
    assert list_stored() == []


def test_only_the_owner_may_upload(client, put, list_stored):
    assert put(user="bob").status_code == 403
    assert put(owner="..").status_code in (400, 404)
    assert client.put("/source/ann/files/x", data=b"x").status_code == 401
    assert client.put("/source/ann/files/x", data=b"x", headers={"Auth-Token": "x.y.z"}).status_code == 401
    assert list_stored() == []


def test_encoded_or_partial_upload_is_rejected(put, list_stored):
    assert put(Content_Encoding="gzip").status_code == 415
    assert put(**{"Content-Range": "bytes 0-1/2"}).status_code == 400
    assert list_stored() == []


def test_file_above_the_maximum_size_is_rejected_and_not_stored(app, put, list_stored, monkeypatch, settings):
    small = settings.model_copy(update={"source_bytes": 100_000})
    monkeypatch.setitem(app.extensions, "specstore", replace(app.extensions["specstore"], settings=small))
    assert put(content=b"x" * 100_000).status_code == 200
    response = put("large", content=b"x" * 100_001)
    assert response.status_code == 413 and "100000" in response.json["detail"]
    assert len(list_stored()) == 1


@pytest.fixture
def small_quota(app, monkeypatch, settings):
    small = settings.model_copy(update={"owner_bytes": 100_000})
    monkeypatch.setitem(app.extensions, "specstore", replace(app.extensions["specstore"], settings=small))


def test_owner_quota_limits_the_total_size(client, put, list_stored, a_token, small_quota):
    assert [put(name, b"x" * 40_000).status_code for name in ("a", "b", "c")] == [200, 200, 413]
    response = put("c", b"x" * 20_001)
    assert response.status_code == 413 and "100000" in response.json["detail"]
    # A replaced file is not counted twice, quotas are per owner, and the maximum itself is allowed.
    assert put("a", b"x" * 60_000).status_code == 200
    assert put("a", b"x" * 60_001).status_code == 413
    assert put("a", b"x" * 100_000, owner="bob", user="bob").status_code == 200
    assert sorted(path.stat().st_size for path in list_stored()) == [40_000, 60_000, 100_000]
    deleted = client.delete("/source/ann/files/b", headers={"Auth-Token": a_token()})
    assert (deleted.status_code, deleted.data) == (204, b"")
    assert put("c", b"x" * 40_000).status_code == 200


def test_chunked_upload_counts_toward_the_quota(client, a_token, list_stored, workers, small_quota):
    def send(size):
        return client.put(
            "/source/ann/files/a",
            headers={"Auth-Token": a_token(), "Transfer-Encoding": "chunked"},
            input_stream=io.BytesIO(b"x" * size),
            environ_overrides={"wsgi.input_terminated": True},
        ).status_code

    assert (send(100_001), list_stored()) == (413, [])
    assert send(100_000) == 200


def test_only_the_owner_deletes_a_file_and_outputs_remain(client, a_token, run_flow, api, workers):
    flow = run_flow()
    for user, status in (("bob", 403), ("ann", 204), ("ann", 204)):
        response = client.delete("/source/ann/files/blob.bin", headers={"Auth-Token": a_token(user)})
        assert response.status_code == status
    assert client.delete("/source/ann/files/blob.bin").status_code == 401
    assert client.delete("/source/ann/files/..", headers={"Auth-Token": a_token()}).status_code in (400, 404, 405)
    assert client.get(f"/source/{flow}/data/blob.bin").data == CONTENT
    retried_flow = api.post(f"{flow}/retry").json["flow_id"]
    workers.run_all()
    assert "blob: blob.bin was not uploaded" in api.get(retried_flow).json["error_log"]


def test_concurrent_uploads_store_one_complete_file(app, a_token, workers, list_stored):
    contents = [bytes([number]) * 300_000 for number in range(8)]
    headers = {"Auth-Token": a_token()}

    def send(content):
        assert app.test_client().put("/source/ann/files/x", data=content, headers=headers).status_code == 200

    threads = [threading.Thread(target=send, args=[content]) for content in contents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (path,) = list_stored()
    assert path.read_bytes() in contents


def test_download_has_type_length_and_etag(api, client, run_flow):
    response = client.get(f"/source/{run_flow()}/data/blob.bin")
    assert response.data == CONTENT
    assert response.headers["Content-Length"] == str(len(CONTENT))
    assert response.headers["ETag"] == f'"{hashlib.sha256(CONTENT).hexdigest()}"'
    assert response.headers["Accept-Ranges"] == "bytes"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["Content-Disposition"].startswith("attachment")
    assert response.content_type == "application/octet-stream"
    head = client.head("/source/ann/wines/1/data/blob.bin")
    assert (head.status_code, head.data, head.headers["Content-Length"]) == (200, b"", str(len(CONTENT)))
    assert client.get("/source/ann/wines/latest/data/datapackage.json").content_type == "application/json"


@pytest.mark.parametrize(
    ("requested_range", "start", "stop"),
    [("bytes=0-0", 0, 1), ("bytes=0-", 0, None), ("bytes=100-199", 100, 200), ("bytes=-5", -5, None),
     ("bytes=300000-299999999", 300000, None), ("bytes=511999-", 511999, None)],
)  # fmt: skip
def test_range_request_returns_the_requested_bytes(client, run_flow, requested_range, start, stop):
    response = client.get(f"/source/{run_flow()}/data/blob.bin", headers={"Range": requested_range})
    expected = CONTENT[start:stop]
    first = start % len(CONTENT)
    assert (response.status_code, response.data) == (206, expected)
    assert response.headers["Content-Range"] == f"bytes {first}-{first + len(expected) - 1}/{len(CONTENT)}"
    assert response.headers["Content-Length"] == str(len(expected))


@pytest.mark.parametrize("requested_range", ["bytes=512000-", "bytes=600000-700000"])
def test_range_beyond_the_end_is_not_satisfiable(client, run_flow, requested_range):
    response = client.get(f"/source/{run_flow()}/data/blob.bin", headers={"Range": requested_range})
    assert (response.status_code, response.headers["Content-Range"]) == (416, f"bytes */{len(CONTENT)}")


@pytest.mark.parametrize("requested_range", ["bytes=0-1,5-9", "lines=1-2", "bytes=x", "bytes=9-2", "x", "bytes=--1"])
def test_unsupported_range_returns_the_complete_file(client, run_flow, requested_range):
    response = client.get(f"/source/{run_flow()}/data/blob.bin", headers={"Range": requested_range})
    assert (response.status_code, response.data) == (200, CONTENT)


def test_matching_etag_returns_not_modified(client, run_flow):
    url = f"/source/{run_flow()}/data/blob.bin"
    etag = client.get(url).headers["ETag"]
    for if_none_match in (etag, f"W/{etag}", f'"x", {etag}', "*"):
        response = client.get(url, headers={"If-None-Match": if_none_match})
        assert (response.status_code, response.data, response.headers["ETag"]) == (304, b"", etag)
    assert client.get(url, headers={"If-None-Match": '"x"'}).status_code == 200
    assert client.get(url, headers={"Range": "bytes=0-1", "If-Range": etag}).status_code == 206
    for if_range in ('"x"', f"W/{etag}", "Sun, 22 Nov 2026 00:00:00 GMT"):
        assert client.get(url, headers={"Range": "bytes=0-1", "If-Range": if_range}).status_code == 200


def test_private_files_are_visible_to_their_owner_only(client, a_token, run_flow):
    url = f"/source/{run_flow('private')}/data/blob.bin"
    assert client.get(url).status_code == 404
    assert client.get(url, headers={"Auth-Token": a_token("bob")}).status_code == 404
    assert client.get(url, headers={"Auth-Token": a_token()}).data == CONTENT
    assert client.get(f"{url}?jwt={a_token()}").data == CONTENT


@pytest.mark.parametrize("file", ["nothing.csv", "..", "../1/data/blob.bin", "%2e%2e", "blob.bin%00", "a" * 500, ".x"])
def test_missing_file_is_not_found(client, run_flow, file):
    response = client.get(f"/source/{run_flow()}/data/{file}")
    assert response.status_code in (400, 404) and response.content_type.startswith("application/problem+json")


def test_output_is_available_only_after_its_pipeline_has_finished(client, api, workers):
    flow = api.create_flow()
    assert client.get(f"/source/{flow}/data/reds.csv").status_code == 404
    workers.run(f"{flow}/reds_csv")
    assert client.get(f"/source/{flow}/data/reds.csv").status_code == 200
    assert client.get(f"/source/{flow}/data/datapackage.json").status_code == 404
