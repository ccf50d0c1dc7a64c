"""Programs that use the Python client notice no killed gateway, web process or Postgres; nothing is lost or doubled."""

import asyncio
import secrets
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial

import psutil
import pytest

from quintet import AsyncQuintet, Quintet
from quintet_e2e import orders
from quintet_e2e.clients import ok_json
from quintet_e2e.faults import assert_recovered, seeded_random
from quintet_e2e.stacks import ON_ONE_STACK
from quintet_e2e.streams import read_events
from quintet_testing.waiting import eventually

pytestmark = ON_ONE_STACK

COUNT = 1000
THREADS = 8
WORK_SECONDS = 240
UPLOADED_ROWS = 300_000


@pytest.fixture
def patient(stack):
    """Yield a client that retries for longer than any outage of these tests."""
    with Quintet(stack.client_url(), retry_seconds=WORK_SECONDS) as client:
        yield client


def kills_of(stack, service):
    """Return functions that kill the gateway, a web process, all web processes, and Postgres."""
    return [
        partial(stack.crash, "gateway"),
        partial(stack.kill_gunicorn_worker, f"{service}-web", seeded_random()),
        partial(kill_processes, stack, f"{service}-web"),
        partial(stack.crash, "postgres"),
    ]


def kill_processes(stack, program):
    """Kill the master and all web processes: one whose master was killed may still finish its requests."""
    for process in stack.processes(program):
        with suppress(psutil.NoSuchProcess):
            process.kill()


def run_with_kills(count, work, kills):
    """Return the results of `work(number)` for each number; kill after each fifth of the calls."""
    with ThreadPoolExecutor(THREADS) as pool:
        futures = [pool.submit(work, number) for number in range(count)]

        def done_count():
            return sum(future.done() for future in futures)

        for number, kill in enumerate(kills, 1):
            eventually(lambda number=number: done_count() >= count * number // (len(kills) + 1), WORK_SECONDS)
            assert done_count() < count, "the work ended before the process was killed"
            kill()
        return [future.result(WORK_SECONDS) for future in futures]


@pytest.mark.fault
def test_a_thousand_appended_events_are_stored_and_delivered_once(stack, client, patient):
    stream = patient.streams(f"client-{secrets.token_hex(4)}")
    first_id = stream.append("Counted", {"n": -1})

    def follow():
        events = stream.follow("Counted", after=0)
        return [next(events).position for _ in range(COUNT + 1)]

    def consume():
        received = []
        with stream.consume("counter", "Counted") as events:
            for event in events:
                received.append(event.position)
                if len(set(received)) == COUNT + 1:
                    event.acknowledge()
                    return received
        return None

    with ThreadPoolExecutor(2) as readers:
        followed, consumed = readers.submit(follow), readers.submit(consume)
        ids = run_with_kills(COUNT, lambda n: stream.append("Counted", {"n": n}), kills_of(stack, "event"))
        assert followed.result(WORK_SECONDS) == [*range(1, COUNT + 2)]
        assert list(dict.fromkeys(consumed.result(WORK_SECONDS))) == [*range(1, COUNT + 2)]
    stored = read_events(client, stream.name)
    assert Counter(event["payload"]["n"] for event in stored) == Counter(range(-1, COUNT))
    assert {event["event"]["id"]: event["payload"]["n"] for event in stored} == dict(
        zip([first_id, *ids], range(-1, COUNT), strict=True)
    )
    (consumer,) = ok_json(client.get(f"/api/v1/streams/{stream.name}/consumers"))["consumers"]
    assert (consumer["offset"], consumer["lag"]) == (COUNT + 1, 0)
    assert_recovered(stack)


@pytest.mark.fault
def test_a_thousand_events_that_concurrent_tasks_append_are_stored_once(stack, client):
    name, kills = f"client-{secrets.token_hex(4)}", kills_of(stack, "event")

    async def append_all():
        numbers, done_count = iter(range(COUNT)), 0

        async def append():
            nonlocal done_count
            for number in numbers:
                await asynchronous.streams(name).append("Counted", {"n": number})
                done_count += 1

        async with AsyncQuintet(stack.client_url(), retry_seconds=WORK_SECONDS) as asynchronous:
            workers = [asyncio.create_task(append()) for _ in range(THREADS)]
            for number, kill in enumerate(kills, 1):
                while done_count < COUNT * number // (len(kills) + 1):
                    await asyncio.sleep(0.01)
                assert done_count < COUNT, "the work ended before the process was killed"
                await asyncio.to_thread(kill)
            await asyncio.gather(*workers)

    asyncio.run(asyncio.wait_for(append_all(), 2 * WORK_SECONDS))
    assert Counter(event["payload"]["n"] for event in read_events(client, name)) == Counter(range(COUNT))
    assert_recovered(stack)


@pytest.mark.fault
def test_a_thousand_issued_numbers_are_distinct_and_none_is_wasted(stack, client, patient):
    name = f"client-{secrets.token_hex(4)}"
    patient.sequences.create(name, audit=True)
    issued = run_with_kills(COUNT, lambda _: patient.sequences.next(name).numbers, kills_of(stack, "sequence"))
    assert sorted(number for numbers in issued for number in numbers) == [*range(1, COUNT + 1)]
    assert ok_json(client.get(f"/sequences/{name}"))["next"] == COUNT + 1
    assert len(list(patient.sequences.issued(name))) == COUNT
    assert_recovered(stack)


@pytest.mark.fault
def test_a_file_is_imported_once_although_each_attempt_to_upload_it_is_killed(stack, patient, tmp_path):
    first_id = orders.first_unused_id()
    file = tmp_path / f"client-{secrets.token_hex(4)}.csv"
    file.write_bytes(orders.orders_file(first_id, UPLOADED_ROWS))
    kills = [
        partial(stack.crash, "gateway"),
        partial(kill_processes, stack, "orders-web"),
        partial(stack.crash, "postgres"),
    ]
    attempt_count = kill_count = 0

    def kill_in_the_middle_of_each_attempt(progress):
        nonlocal attempt_count, kill_count
        attempt_count += progress.done_bytes == 0
        # The connection of an attempt that was killed may accept some more of the file.
        if kill_count < min(attempt_count, len(kills)) and progress.percent > 50:
            kills[kill_count]()
            kill_count += 1

    task = patient.orders.upload(file, on_progress=kill_in_the_middle_of_each_attempt)
    assert kill_count == len(kills) < attempt_count
    status = task.wait(timeout_seconds=WORK_SECONDS)
    counts = {"valid": status.valid, "invalid": status.invalid}
    counts |= {"duplicates": status.duplicates, "rejected": status.rejected}
    assert counts == orders.expected_counts(UPLOADED_ROWS)
    stored, valid, _ = orders.stored_summary(stack, first_id, UPLOADED_ROWS)
    assert (stored, valid) == (UPLOADED_ROWS, status.valid)
    assert [entry.task_id for entry in patient.orders.imports() if entry.file_name == file.name] == [task.id]
    assert_recovered(stack)
