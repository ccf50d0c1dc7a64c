"""The same with S3 in place of a folder: a server that speaks it, rclone's, over a real folder."""

import shutil
from pathlib import Path

import pytest

from chassis.errors import NotFound, Unavailable
from quintet_testing.postgres import free_port
from specstore_service.store import opening


def test_what_is_put_can_be_read_whole_and_in_part(bucket, keep):
    content = bytes(range(256)) * 100_000
    keep("flows/ann/wines/1/1.1-reds.csv", content)
    with bucket.local("flows/ann/wines/1/1.1-reds.csv") as path:
        assert path.read_bytes() == content
    assert not path.exists()
    assert b"".join(bucket.pieces("flows/ann/wines/1/1.1-reds.csv", 0, len(content))) == content
    assert b"".join(bucket.pieces("flows/ann/wines/1/1.1-reds.csv", 300, 70_000)) == content[300:70_300]
    keep("flows/ann/wines/1/1.1-reds.csv", b"newer")
    assert b"".join(bucket.pieces("flows/ann/wines/1/1.1-reds.csv", 0, 5)) == b"newer"
    bucket.delete(["flows/ann/wines/1/1.1-reds.csv"] * 2)


def test_what_is_empty_is_kept_too(bucket, keep):
    keep("files/ann/empty", b"")
    assert list(bucket.pieces("files/ann/empty", 0, 0)) == []
    with bucket.local("files/ann/empty") as path:
        assert path.read_bytes() == b""


def test_sizes_are_those_of_one_folder(bucket, keep):
    for key, content in (("files/eve/a", b"x" * 5), ("files/eve/b", b""), ("files/evelyn/c", b"1")):
        keep(key, content)
    assert bucket.sizes("files/eve") == {"files/eve/a": 5, "files/eve/b": 0}
    assert bucket.sizes("files/nobody") == {}


def test_what_is_not_there_is_not_found(bucket):
    with pytest.raises(NotFound), bucket.local("files/ann/nothing"):
        pass
    with pytest.raises(NotFound):
        bucket.pieces("files/ann/nothing", 0, 1)


def test_a_bucket_that_is_away_or_refuses_is_waited_for(settings, s3, in_s3):
    away = in_s3.model_copy(update={"s3_endpoint_url": f"http://127.0.0.1:{free_port()}"})
    with pytest.raises(Unavailable):
        opening.objects_of(away).pieces("x", 0, 1)
    stranger = in_s3.model_copy(update={"s3_secret_access_key": "wrong"})
    with pytest.raises(Unavailable):
        opening.objects_of(stranger).pieces("x", 0, 1)


def test_a_flow_runs_with_everything_in_the_bucket(api, workers, in_s3, bucket, s3, client, monkeypatch, app, a_token):
    from dataclasses import replace

    monkeypatch.setitem(app.extensions, "specstore", replace(app.extensions["specstore"], settings=in_s3))
    workers.settings = in_s3
    sent = client.put("/source/ann/files/reds.csv", data=b"id\n1\n2\n", headers={"Auth-Token": a_token()})
    assert sent.status_code == 200
    flow = api.uploaded(resources=[{"name": "reds", "path": "reds.csv"}])
    workers.run_all()
    assert api.status(flow).json["state"] == "SUCCEEDED", api.status(flow).json
    assert client.get(f"/source/{flow}/data/reds.csv").data == b"id\n1\n2\n"
    part = client.get(f"/source/{flow}/data/reds.csv", headers={"Range": "bytes=3-4"})
    assert (part.status_code, part.data) == (206, b"1\n")
    assert (s3[1] / "flows" / flow).is_dir()
    assert not (Path(in_s3.data_dir) / "objects").exists()
    assert list(bucket.scratch.iterdir()) == []
    shutil.rmtree(s3[1] / "flows")
