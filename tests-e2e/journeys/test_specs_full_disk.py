"""Flows wait while the disk for files is full, and no file is lost or truncated."""

import os
import secrets
import subprocess
import time
from contextlib import contextmanager

import pytest

from quintet_e2e.clients import background_threads, ok_json
from quintet_e2e.faults import assert_recovered, seeded_random
from quintet_e2e.specs import FIELDS, Owner
from quintet_e2e.stacks import ON_ONE_STACK
from quintet_testing.waiting import eventually

ROUNDS = int(os.environ.get("E2E_ROUNDS") or 2)
TIMEOUT_SECONDS = 900 + 120 * ROUNDS
MEBIBYTE = 1024 * 1024
DISK_MEBIBYTES = 96
FLOW_SECONDS = 300
TABLE = b"name,year\n" + b"".join(b"Malbec %d,%d\n" % (number, 1950 + number % 70) for number in range(70_000))
WORKER = "specstore-worker"

pytestmark = [pytest.mark.fault, ON_ONE_STACK]


class Disk:
    """A small disk that replaces the folder of files."""

    def __init__(self, folder):
        self.folder, self._filler = folder, folder / "filler"

    @contextmanager
    def mounted(self):
        """Mount the disk until the block ends. Skip the test if mounting is not permitted."""
        self.folder.mkdir(parents=True, exist_ok=True)
        options = f"size={DISK_MEBIBYTES}m,mode=755"
        result = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(self.folder)], capture_output=True, text=True
        )
        if result.returncode:
            pytest.skip(f"cannot mount a small disk: {result.stderr.strip()}")
        try:
            yield self
        finally:
            subprocess.run(["umount", "--lazy", str(self.folder)], check=True)

    @property
    def free_bytes(self):
        status = os.statvfs(self.folder)
        return status.f_bavail * status.f_frsize

    def fill(self, free_bytes=0):
        """Fill the disk so that at most `free_bytes` remain."""
        with self._filler.open("ab", buffering=0) as filler, pytest.raises(OSError, match="No space left"):
            while True:
                filler.write(b"x" * MEBIBYTE)
        if free_bytes:
            os.truncate(self._filler, max(0, self._filler.stat().st_size - free_bytes))

    def free(self):
        self._filler.unlink()

    def scratch_files(self):
        folder = self.folder / "scratch"
        return list(folder.iterdir()) if folder.exists() else []


@pytest.fixture
def disk(stack):
    """Yield a small disk that is mounted while no flow runs, so that no file is split between two disks."""
    stack.wait_until_healthy()
    with Disk(stack.home / "files" / "specstore").mounted() as disk:
        yield disk


@pytest.fixture
def owner(client):
    return Owner(client)


def inputs(path):
    resources = [{"name": "reds", "path": path, "schema": {"fields": FIELDS}}]
    return [
        {"kind": "datapackage", "url": "x.json", "parameters": {"descriptor": {"name": "w", "resources": resources}}}
    ]


def test_upload_to_full_disk_is_rejected_and_leaves_no_data(client, owner, disk):
    url = f"/source/{owner.id}/files/{secrets.token_hex(4)}.csv"
    owner.store_file("small.csv", b"name,year\nMalbec,2020\n")
    disk.fill(free_bytes=MEBIBYTE)
    response = client.put(url, headers=owner.headers, data=TABLE)
    assert (response.status_code, response.json()["detail"]) == (503, "files cannot be stored at the moment")
    assert int(response.headers["Retry-After"]) > 0
    assert disk.scratch_files() == []
    # A rejected upload also leaves an existing file unchanged.
    response = client.put(f"/source/{owner.id}/files/small.csv", headers=owner.headers, data=TABLE)
    assert response.status_code == 503
    disk.free()
    assert ok_json(client.put(url, headers=owner.headers, data=TABLE))["bytes"] == len(TABLE)
    flow = owner.upload(owner.new_dataset_name(), inputs=inputs("small.csv"))
    assert owner.output_files(owner.wait_for_end(flow))["reds_source.csv"] == b"name,year\nMalbec,2020\n"


class Flows:
    """Flows of one large table, and their results."""

    def __init__(self, owner):
        self.owner, self.started, self.results, self.complete_count = owner, [], {}, 0
        owner.store_file("many.csv", TABLE)

    def run_flow(self, _thread_number=0):
        flow = self.owner.upload(self.owner.new_dataset_name(), inputs=inputs("many.csv"))
        self.started.append(flow)
        self.results[flow] = self.owner.wait_for_end(flow, FLOW_SECONDS)


@pytest.mark.timeout(TIMEOUT_SECONDS)
def test_flows_wait_while_disk_is_full_and_then_succeed(stack, owner, disk):
    rng, message = seeded_random(), "files cannot be stored at the moment"
    flows, waits = Flows(owner), 0
    for number in range(ROUNDS):
        with background_threads(2, flows.run_flow):
            time.sleep(rng.uniform(0, 3))
            waits_before, free_bytes = stack.log(WORKER).count(message), rng.choice([0, rng.randint(0, 3 * MEBIBYTE)])
            disk.fill(free_bytes=free_bytes)
            eventually(lambda before=waits_before: stack.log(WORKER).count(message) > before, FLOW_SECONDS)
            waits += stack.log(WORKER).count(message) - waits_before
            if number % 2:
                stack.kill(WORKER)
            time.sleep(rng.uniform(0, 2))
            print(f"{number}: full with {free_bytes} bytes left; {len(flows.results)} flows have ended", flush=True)
            disk.free()
        assert_complete(flows)
        delete_flows(disk, flows)
    print(f"{flows.complete_count} flows, all complete; attempts met a full disk {waits} times")
    assert_recovered(stack)


def assert_complete(flows):
    assert len(flows.results) == len(flows.started)
    for flow, status in flows.results.items():
        assert (status["state"], status["error_log"]) == ("SUCCEEDED", []), flow
        files = flows.owner.output_files(status)
        assert files["reds.csv"] == files["reds_source.csv"] == TABLE
        assert len(files) == 7
    flows.complete_count += len(flows.results)


def delete_flows(disk, flows):
    """Delete the files of all flows: the disk has room for a few rounds only."""
    for flow in flows.started:
        for path in (disk.folder / "objects" / "flows" / flow).glob("*"):
            path.unlink()
    flows.started.clear()
    flows.results.clear()
