"""A backup under load and its restore: nothing confirmed before is missing, and no number is issued twice."""

import secrets
import signal
import subprocess
import sys
from contextlib import closing

import pytest

from quintet_e2e import orders
from quintet_e2e.clients import Client, background_threads, ok_json
from quintet_e2e.faults import assert_recovered, outbox_backlog
from quintet_e2e.specs import Owner
from quintet_e2e.stacks import CHECKOUT, environment_for
from quintet_e2e.streams import event_body, read_events, stream_path
from quintet_testing.waiting import eventually

pytestmark = pytest.mark.slow

MIN_CONFIRMED = 20
STREAM, SEQUENCE = "backup", "backup"


class Load:
    """Writers that record what was confirmed; each runs until the load is stopped."""

    def __init__(self, client):
        self.client = client
        self.numbers, self.events, self.points, self.imports = [], [], [], []
        self.factory = ok_json(client.post("/api/factories", json={"name": "backup"}))["id"]
        ok_json(client.put(f"/sequences/{SEQUENCE}", json={"minimum": 1, "maximum": 10**9}))

    def issue_number(self):
        self.numbers += ok_json(self.client.post(f"/sequences/{SEQUENCE}/next", json={"n": 1}))["sequence_list"]

    def append_event(self):
        headers = {"X-Producer-ID": "backup"}
        path = f"{stream_path(STREAM)}/events"
        self.events.append(ok_json(self.client.post(path, json=event_body(number=len(self.events)), headers=headers)))

    def record_point(self):
        point = {"time": 1_700_000_000 + len(self.points), "actual": len(self.points), "goal": 1}
        assert self.client.post(f"/api/factory/{self.factory}/production", json=point).status_code == 202
        self.points.append(point["time"])

    def import_orders(self):
        self.imports.append(orders.upload(self.client, orders.orders_file(orders.first_unused_id(), 2000)))

    def confirmed(self):
        """Return copies of what has been confirmed by now."""
        return {name: list(getattr(self, name)) for name in ("numbers", "events", "points", "imports")}

    def has_confirmed(self, more_than):
        counts = {name: len(items) for name, items in self.confirmed().items() if name != "imports"}
        return min(counts.values()) > more_than and self.imports


@pytest.fixture
def load(client):
    return Load(client)


def writers(load):
    work = (load.issue_number, load.append_event, load.record_point, load.import_orders)
    return background_threads(len(work), lambda number: work[number]())


def assert_present(client, load, confirmed):
    stored_ids = {event["event"]["id"] for event in read_events(client, STREAM)}
    assert set(confirmed["events"]) <= stored_ids
    chart = ok_json(client.get(f"/api/factory/{load.factory}/chart-data"))["chart_data"]
    assert set(confirmed["points"]) <= set(chart["time"])
    for task_id in confirmed["imports"]:
        assert orders.wait_for_end(client, task_id)["status"] == "SUCCESS"


def test_restore_of_a_backup_under_load_brings_everything_confirmed_back(stack, client, load, tmp_path):
    folder = tmp_path / "backup"
    user = f"ann-{secrets.token_hex(4)}"
    owner = Owner(Client(stack, user, stack.add_user(user, "writer")))
    files = owner.output_files(owner.wait_for_end(flow_id := owner.upload("backup")))
    with writers(load):
        eventually(lambda: load.has_confirmed(MIN_CONFIRMED))
        confirmed = load.confirmed()
        stack.run_command("backup", str(folder))
        count = len(load.events)
        eventually(lambda: load.has_confirmed(count + MIN_CONFIRMED))
    eventually(lambda: outbox_backlog(client) == 0)
    # Changes after the backup, which the restore must undo.
    stack.remove_user(user)
    ok_json(client.post("/api/factories", json={"name": "created after the backup"}))
    assert client.send("DELETE", f"/api/factory/{load.factory}").status_code == 204

    report = stack.run_command("restore", str(folder), "--yes", "--skip", "100000")

    assert "100000 numbers skipped" in report and "all invariants hold" in report
    with closing(Client(stack)) as restored:
        assert_present(restored, load, confirmed)
        numbers = ok_json(restored.post(f"/sequences/{SEQUENCE}/next", json={"n": 5}))["sequence_list"]
        assert min(numbers) > max(load.numbers)
        factories = ok_json(restored.get("/api/factories?limit=1000"))["factories"]
        assert "created after the backup" not in [factory["name"] for factory in factories]
        assert files and owner.output_files(owner.get_status(flow_id)) == files
    assert_recovered(stack)


def test_killed_backup_leaves_no_folder_and_stops_no_messages(stack, client, load, tmp_path):
    folder = tmp_path / "backup"
    command = [sys.executable, str(CHECKOUT / "deploy" / stack.kind), "backup", str(folder)]
    with subprocess.Popen(command, env=environment_for(stack.home), stderr=subprocess.PIPE, text=True) as backup:
        assert backup.stderr is not None
        assert any("waiting until no message is being delivered" in line for line in backup.stderr)
        backup.send_signal(signal.SIGKILL)
    assert not folder.exists()
    load.record_point()
    eventually(lambda: ok_json(client.get(f"/api/factory/{load.factory}/chart-data"))["chart_data"]["time"])
    stack.run_command("backup", str(folder))
    assert (folder / "manifest.json").exists()


def test_restore_of_what_is_not_a_backup_changes_nothing(stack, client, tmp_path):
    with pytest.raises(RuntimeError, match="must be the folder of a backup"):
        stack.run_command("restore", str(tmp_path), "--yes")
    stack.run_command("backup", str(tmp_path / "backup"))
    with pytest.raises(RuntimeError, match="must not exist"):
        stack.run_command("backup", str(tmp_path / "backup"))
    (tmp_path / "backup" / "database.dump").write_bytes(b"damaged")
    with pytest.raises(RuntimeError, match=r"nothing was changed: .*database\.dump is damaged"):
        stack.run_command("restore", str(tmp_path / "backup"), "--yes")
    assert stack.is_healthy()


def test_interrupted_restore_must_be_completed_before_the_stack_starts(stack, client, load, tmp_path):
    folder = tmp_path / "backup"
    load.issue_number()
    stack.run_command("backup", str(folder))
    command = [sys.executable, str(CHECKOUT / "deploy" / stack.kind), "restore", str(folder), "--yes"]
    with subprocess.Popen(command, env=environment_for(stack.home), stderr=subprocess.PIPE, text=True) as restore:
        assert restore.stderr is not None
        assert any("stopping the services" in line for line in restore.stderr)
        restore.send_signal(signal.SIGKILL)
    with pytest.raises(RuntimeError, match="a restore was interrupted"):
        stack.run_command("up")
    stack.run_command("restore", str(folder), "--yes")
    with closing(Client(stack)) as restored:
        number = ok_json(restored.post(f"/sequences/{SEQUENCE}/next", json={"n": 1}))["sequence_list"]
    assert number == [load.numbers[-1] + 1001]
    assert_recovered(stack)
