"""The disk of the specs' files is full, again and again, while flows run: they wait, nothing is lost or cut short."""

import os
import secrets
import subprocess
import time
from contextlib import contextmanager

import pytest

from quintet_e2e.clients import crowd, done
from quintet_e2e.faults import assert_healed, chosen_random
from quintet_e2e.specs import FIELDS, Owner
from quintet_testing.waiting import eventually

ROUNDS = int(os.environ.get("E2E_ROUNDS") or 2)
TIMEOUT_SECONDS = 900 + 120 * ROUNDS
MEBIBYTE = 1024 * 1024
DISK_MEBIBYTES = 96
ENDED_WITHIN = 300
TABLE = b"name,year\n" + b"".join(b"Malbec %d,%d\n" % (number, 1950 + number % 70) for number in range(70_000))
WORKER = "specstore-worker"

pytestmark = pytest.mark.parametrize("stack", ["local"], indirect=True)


class Disk:
    """A small one in place of the folder of files; skips where none can be had."""

    def __init__(self, folder):
        self.folder, self._filler = folder, folder / "filler"

    @contextmanager
    def mounted(self):
        self.folder.mkdir(parents=True, exist_ok=True)
        options = f"size={DISK_MEBIBYTES}m,mode=755"
        made = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(self.folder)], capture_output=True, text=True
        )
        if made.returncode:
            pytest.skip(f"no small disk can be had here: {made.stderr.strip()}")
        try:
            yield self
        finally:
            subprocess.run(["umount", "--lazy", str(self.folder)], check=True)

    @property
    def free_bytes(self):
        found = os.statvfs(self.folder)
        return found.f_bavail * found.f_frsize

    def fill(self, but=0):
        """So that at most so many bytes are left."""
        with self._filler.open("ab", buffering=0) as filler, pytest.raises(OSError, match="No space left"):
            while True:
                filler.write(b"x" * MEBIBYTE)
        if but:
            os.truncate(self._filler, max(0, self._filler.stat().st_size - but))

    def free(self):
        self._filler.unlink()

    def scratch(self):
        folder = self.folder / "scratch"
        return list(folder.iterdir()) if folder.exists() else []


@pytest.fixture
def disk(stack):
    """While it is changed nobody uses it: what is on it and what was there before do not mix."""
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


def test_an_upload_to_a_full_disk_is_refused_and_leaves_nothing(client, owner, disk):
    url = f"/source/{owner.id}/files/{secrets.token_hex(4)}.csv"
    owner.keep_file("small.csv", b"name,year\nMalbec,2020\n")
    disk.fill(but=MEBIBYTE)
    answer = client.put(url, headers=owner.headers, data=TABLE)
    assert (answer.status_code, answer.json()["detail"]) == (503, "files cannot be stored at the moment")
    assert int(answer.headers["Retry-After"]) > 0
    assert disk.scratch() == []
    # In place of an older file, too: that one stays as it was.
    answer = client.put(f"/source/{owner.id}/files/small.csv", headers=owner.headers, data=TABLE)
    assert answer.status_code == 503
    disk.free()
    assert done(client.put(url, headers=owner.headers, data=TABLE))["bytes"] == len(TABLE)
    flow = owner.upload(owner.new_dataset(), inputs=inputs("small.csv"))
    assert owner.files(owner.ended(flow))["reds_source.csv"] == b"name,year\nMalbec,2020\n"


class Flows:
    def __init__(self, owner):
        self.owner, self.begun, self.ended, self.whole = owner, [], {}, 0
        owner.keep_file("many.csv", TABLE)

    def one_more(self, _number=0):
        flow = self.owner.upload(self.owner.new_dataset(), inputs=inputs("many.csv"))
        self.begun.append(flow)
        self.ended[flow] = self.owner.ended(flow, ENDED_WITHIN)


@pytest.mark.timeout(TIMEOUT_SECONDS)
def test_flows_wait_for_a_full_disk_and_then_go_on(stack, owner, disk):
    chance, waits = chosen_random(), "files cannot be stored at the moment"
    flows, met = Flows(owner), 0
    for number in range(ROUNDS):
        with crowd(2, flows.one_more):
            time.sleep(chance.uniform(0, 3))
            met_before, free = stack.log(WORKER).count(waits), chance.choice([0, chance.randint(0, 3 * MEBIBYTE)])
            disk.fill(but=free)
            eventually(lambda before=met_before: stack.log(WORKER).count(waits) > before, ENDED_WITHIN)
            met += stack.log(WORKER).count(waits) - met_before
            if number % 2:
                stack.kill(WORKER)
            time.sleep(chance.uniform(0, 2))
            print(f"{number}: full with {free} bytes left; {len(flows.ended)} flows have ended", flush=True)
            disk.free()
        assert_whole(flows)
        make_room(disk, flows)
    print(f"{flows.whole} flows, all whole; the disk was met full {met} times")
    assert_healed(stack)


def assert_whole(flows):
    assert len(flows.ended) == len(flows.begun)
    for flow, status in flows.ended.items():
        assert (status["state"], status["error_log"]) == ("SUCCEEDED", []), flow
        files = flows.owner.files(status)
        assert files["reds.csv"] == files["reds_source.csv"] == TABLE
        assert len(files) == 7
    flows.whole += len(flows.ended)


def make_room(disk, flows):
    """As somebody who removes old revisions: the disk holds those of some rounds only."""
    for flow in flows.begun:
        for path in (disk.folder / "objects" / "flows" / flow).glob("*"):
            path.unlink()
    flows.begun.clear()
    flows.ended.clear()
