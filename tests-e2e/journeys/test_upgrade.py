"""An upgrade replaces every program of the services while no request fails, and keeps data of the previous release."""

from contextlib import closing

import psutil
import pytest

from quintet_e2e.clients import Client, ok_json
from quintet_e2e.faults import assert_recovered, kill_command, seeded_random
from quintet_e2e.load import Load
from quintet_e2e.specs import Owner
from quintet_e2e.stacks import CHECKOUT, MAINLY_WITH_CONTAINERS, ON_ONE_STACK
from quintet_e2e.streams import event_body, read_events
from quintet_local import envfile

pytestmark = pytest.mark.slow


@pytest.fixture
def load(client):
    return Load(client)


def replaceable_programs(stack):
    return [program for program in stack.programs if program.endswith(("-web", "-worker", "console"))]


def starts(stack):
    """Return when the first process of each program was started that an upgrade replaces."""
    return {name: stack.processes(name)[0].create_time() for name in replaceable_programs(stack)}


def change_all_programs(stack):
    """Change a setting that all programs read, as a new version changes their code."""
    level = {"info": "warning"}.get(envfile.load(stack.home / ".env").get("LOG_LEVEL", "info"), "info")
    envfile.set_values(stack.home / ".env", {"LOG_LEVEL": level})


@MAINLY_WITH_CONTAINERS
def test_upgrade_under_load_replaces_all_programs_without_a_failed_request(stack, client, load):
    before = starts(stack)
    gateway = stack.processes("gateway")[0]
    change_all_programs(stack)
    with load.running():
        load.wait_for_progress()
        counts = load.counts.copy()
        stack.run_command("upgrade", "--no-backup")
        assert load.has_continued(counts)
        load.wait_for_progress()
    after = starts(stack)
    assert after.keys() == before.keys()
    assert [name for name in before if after[name] <= before[name]] == []
    assert psutil.pid_exists(gateway.pid) and gateway.is_running()
    assert not [name for name in stack.programs if name.endswith("-standby")]
    load.assert_nothing_lost()
    assert_recovered(stack)


@ON_ONE_STACK
@pytest.mark.extended
@pytest.mark.fault
def test_killed_upgrade_is_completed_by_the_next_one_without_a_failed_request(stack, load):
    random, before = seeded_random(), starts(stack)
    change_all_programs(stack)
    with load.running():
        load.wait_for_progress()
        # The standby is started, receives the requests, and is removed within this time.
        seconds = random.uniform(0, 15)
        kill_command(stack, "upgrade", "--no-backup", during="replacing orders-web", after_seconds=seconds)
        load.wait_for_progress()
        stack.run_command("upgrade", "--no-backup")
        load.wait_for_progress()
    assert [name for name, started_at in starts(stack).items() if started_at <= before[name]] == []
    assert not [name for name in stack.programs if name.endswith("-standby")]
    load.assert_nothing_lost()
    assert_recovered(stack)


@ON_ONE_STACK
def test_data_of_the_previous_release_is_kept_and_can_be_changed(stack):
    """The backup has data of all services: numbers up to 42, 40 events, an import, a dataset, 50 points."""
    report = stack.run_command("restore", str(CHECKOUT / "tests-e2e" / "releases" / "0.2.0"), "--yes", "--skip", "1000")
    assert "(version 0.2.0)" in report and "all invariants hold" in report
    with closing(Client(stack)) as client:
        number = ok_json(client.post("/sequences/invoices/next", json={"n": 1}))["sequence_list"]
        assert number == [1043]
        assert [event["payload"]["number"] for event in read_events(client, "shop")] == [*range(40)]
        (consumer,) = ok_json(client.get("/api/v1/streams/shop/consumers"))["consumers"]
        assert (consumer["consumer"], consumer["offset"], consumer["lag"]) == ("billing", 10, 30)
        ok_json(
            client.post("/api/v1/streams/shop/events", json=event_body(number=40), headers={"X-Producer-ID": "shop"})
        )
        (stored,) = ok_json(client.get("/acme_orders/api/v1/orders/import/status"))["result"]
        assert (stored["file_name"], stored["valid"], stored["invalid"]) == ("orders.csv", 62, 137)
        owner = Owner(client)
        status = owner.get_status("admin/wines/1")
        assert status["state"] == "SUCCEEDED" and owner.output_files(status)
        assert owner.wait_for_end(owner.upload("wines"))["state"] == "SUCCEEDED"
        (factory,) = ok_json(client.get("/api/factories"))["factories"]
        chart = ok_json(client.get(f"/api/factory/{factory['id']}/chart-data"))["chart_data"]
        assert (factory["name"], chart["sprocket_production_actual"]) == ("Plant 0.2.0", [*range(50)])
        assert ok_json(client.get("/api/sprocket/1"))["sprocket"]["teeth"] == 8
        load = Load(client)
        with load.running():
            load.wait_for_progress()
        load.assert_nothing_lost()
    assert_recovered(stack)
