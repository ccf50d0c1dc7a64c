import secrets
import subprocess
import sys
import time
from pathlib import Path

import pytest

from chassis.errors import Unavailable
from quintet_testing.postgres import free_port
from specstore_service.store import object_stores
from specstore_service.store.objects import scratch_file


@pytest.fixture(scope="session")
def s3(tmp_path_factory):
    """Serve a folder over S3 with rclone; yield the settings of the bucket and the folder that contains its objects."""
    folder = tmp_path_factory.mktemp("s3")
    (folder / "specs").mkdir()
    program = Path(sys.executable).parent / "rclone"
    key, secret, port = secrets.token_hex(8), secrets.token_hex(16), free_port()
    command = [program, "serve", "s3", "--addr", f"127.0.0.1:{port}", "--auth-key", f"{key},{secret}",
               "--vfs-cache-mode", "off", "--config", "", str(folder)]  # fmt: skip
    bucket_settings = {
        "s3_bucket": "specs",
        "s3_endpoint_url": f"http://127.0.0.1:{port}",
        "s3_access_key_id": key,
        "s3_secret_access_key": secret,
    }
    with (folder / "log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        yield bucket_settings, folder / "specs"
        process.terminate()


@pytest.fixture
def s3_settings(settings, s3):
    return settings.model_copy(update=s3[0])


@pytest.fixture
def bucket(s3_settings):
    bucket = object_stores.create_object_store(s3_settings)
    deadline = time.monotonic() + 60
    while True:
        try:
            bucket.delete(["anything"])
            return bucket
        except Unavailable:
            assert time.monotonic() < deadline
            time.sleep(0.1)


@pytest.fixture
def put_object(bucket):
    def put_object(key, content):
        with scratch_file(bucket) as file:
            file.write_bytes(content)
            bucket.put(key, file)

    return put_object
