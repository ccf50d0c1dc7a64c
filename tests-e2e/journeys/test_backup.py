"""A backup under load and its restore: nothing confirmed before is missing, and no number is issued twice."""

import secrets
from contextlib import closing

import pytest

from quintet_e2e import orders
from quintet_e2e.clients import Client, ok_json
from quintet_e2e.faults import assert_recovered, kill_command, outbox_backlog
from quintet_e2e.load import Load
from quintet_e2e.specs import Owner
from quintet_e2e.stacks import MAINLY_WITH_CONTAINERS, ON_ONE_STACK
from quintet_e2e.streams import read_events
from quintet_testing.waiting import eventually

pytestmark = pytest.mark.slow


@pytest.fixture
def load(client):
    return Load(client)


def assert_present(client, load, confirmed):
    stored_ids = {event["event"]["id"] for event in read_events(client, load.name)}
    assert set(confirmed["events"]) <= stored_ids
    chart = ok_json(client.get(f"/api/factory/{load.factory}/chart-data"))["chart_data"]
    assert set(confirmed["points"]) <= set(chart["time"])
    for task_id in confirmed["imports"]:
        assert orders.wait_for_end(client, task_id)["status"] == "SUCCESS"
    owner = Owner(client)
    assert {owner.wait_for_end(flow)["state"] for flow in confirmed["flows"]} == {"SUCCEEDED"}


@MAINLY_WITH_CONTAINERS
def test_restore_of_a_backup_under_load_brings_everything_confirmed_back(stack, client, load, tmp_path):
    folder = tmp_path / "backup"
    user = f"ann-{secrets.token_hex(4)}"
    owner = Owner(Client(stack, user, stack.add_user(user, "writer")))
    files = owner.output_files(owner.wait_for_end(flow_id := owner.upload("backup")))
    with load.running():
        load.wait_for_progress()
        confirmed = load.confirmed()
        stack.run_command("backup", str(folder))
        load.wait_for_progress()
    eventually(lambda: outbox_backlog(client) == 0)
    # Changes after the backup, which the restore must undo.
    stack.remove_user(user)
    ok_json(client.post("/api/factories", json={"name": "created after the backup"}))
    assert client.send("DELETE", f"/api/factory/{load.factory}").status_code == 204

    report = stack.run_command("restore", str(folder), "--yes", "--skip", "100000")

    assert "100000 numbers skipped" in report and "all invariants hold" in report
    with closing(Client(stack)) as restored:
        assert_present(restored, load, confirmed)
        numbers = ok_json(restored.post(f"/sequences/{load.name}/next", json={"n": 5}))["sequence_list"]
        assert min(numbers) > max(load.numbers)
        factories = ok_json(restored.get("/api/factories?limit=1000"))["factories"]
        assert "created after the backup" not in [factory["name"] for factory in factories]
        assert files and owner.output_files(owner.get_status(flow_id)) == files
    assert_recovered(stack)


@ON_ONE_STACK
def test_killed_backup_leaves_no_folder_and_stops_no_messages(stack, client, load, tmp_path):
    folder = tmp_path / "backup"
    kill_command(stack, "backup", str(folder), during="waiting until no message is being delivered")
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


@ON_ONE_STACK
def test_interrupted_restore_must_be_completed_before_the_stack_starts(stack, client, load, tmp_path):
    folder = tmp_path / "backup"
    load.issue_number()
    stack.run_command("backup", str(folder))
    kill_command(stack, "restore", str(folder), "--yes", during="stopping the services")
    with pytest.raises(RuntimeError, match="a restore was interrupted"):
        stack.run_command("up")
    stack.run_command("restore", str(folder), "--yes")
    with closing(Client(stack)) as restored:
        number = ok_json(restored.post(f"/sequences/{load.name}/next", json={"n": 1}))["sequence_list"]
    assert number == [load.numbers[-1] + 1001]
    assert_recovered(stack)
