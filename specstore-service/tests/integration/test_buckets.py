"""The object store in an S3 bucket, which rclone serves from a folder."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from chassis.errors import NotFound, Unavailable
from quintet_testing.postgres import free_port
from specstore_service.store import object_stores


def test_stored_object_can_be_read_completely_and_in_ranges(bucket, put_object):
    content = bytes(range(256)) * 100_000
    put_object("flows/ann/wines/1/1.1-reds.csv", content)
    with bucket.local_path("flows/ann/wines/1/1.1-reds.csv") as path:
        assert path.read_bytes() == content
    assert not path.exists()
    assert b"".join(bucket.read_range("flows/ann/wines/1/1.1-reds.csv", 0, len(content))) == content
    assert b"".join(bucket.read_range("flows/ann/wines/1/1.1-reds.csv", 300, 70_000)) == content[300:70_300]
    put_object("flows/ann/wines/1/1.1-reds.csv", b"newer")
    assert b"".join(bucket.read_range("flows/ann/wines/1/1.1-reds.csv", 0, 5)) == b"newer"
    bucket.delete(["flows/ann/wines/1/1.1-reds.csv"] * 2)


def test_empty_object_is_stored(bucket, put_object):
    put_object("files/ann/empty", b"")
    assert list(bucket.read_range("files/ann/empty", 0, 0)) == []
    with bucket.local_path("files/ann/empty") as path:
        assert path.read_bytes() == b""


def test_sizes_include_only_the_requested_folder(bucket, put_object):
    for key, content in (("files/eve/a", b"x" * 5), ("files/eve/b", b""), ("files/evelyn/c", b"1")):
        put_object(key, content)
    assert bucket.list_sizes("files/eve") == {"files/eve/a": 5, "files/eve/b": 0}
    assert bucket.list_sizes("files/unknown") == {}


def test_missing_object_is_not_found(bucket):
    with pytest.raises(NotFound), bucket.local_path("files/ann/nothing"):
        pass
    with pytest.raises(NotFound):
        bucket.read_range("files/ann/nothing", 0, 1)


def test_unreachable_or_unauthorized_bucket_is_unavailable(settings, s3, s3_settings):
    unreachable = s3_settings.model_copy(update={"s3_endpoint_url": f"http://127.0.0.1:{free_port()}"})
    with pytest.raises(Unavailable):
        object_stores.create_object_store(unreachable).read_range("x", 0, 1)
    unauthorized = s3_settings.model_copy(update={"s3_secret_access_key": "wrong"})
    with pytest.raises(Unavailable):
        object_stores.create_object_store(unauthorized).read_range("x", 0, 1)


def test_flow_stores_all_files_in_the_bucket(api, workers, s3_settings, bucket, s3, client, monkeypatch, app, a_token):
    monkeypatch.setitem(app.extensions, "specstore", replace(app.extensions["specstore"], settings=s3_settings))
    workers.settings = s3_settings
    response = client.put("/source/ann/files/reds.csv", data=b"id\n1\n2\n", headers={"Auth-Token": a_token()})
    assert response.status_code == 200
    flow = api.create_flow(resources=[{"name": "reds", "path": "reds.csv"}])
    workers.run_all()
    assert api.get(flow).json["state"] == "SUCCEEDED", api.get(flow).json
    assert client.get(f"/source/{flow}/data/reds.csv").data == b"id\n1\n2\n"
    range_response = client.get(f"/source/{flow}/data/reds.csv", headers={"Range": "bytes=3-4"})
    assert (range_response.status_code, range_response.data) == (206, b"1\n")
    assert (s3[1] / "flows" / flow).is_dir()
    assert not (Path(s3_settings.data_dir) / "objects").exists()
    assert list(bucket.scratch.iterdir()) == []
    shutil.rmtree(s3[1] / "flows")
