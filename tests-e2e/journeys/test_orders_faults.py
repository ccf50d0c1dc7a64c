"""Imports and uploads survive faults of every process: confirmed files are imported once, and no other data is left."""

import contextlib
import os
import secrets
import threading
import time
from collections import Counter
from dataclasses import dataclass
from functools import partial

import pytest

from quintet_e2e import orders
from quintet_e2e.clients import (
    IN_PROGRESS,
    TOO_MANY_REQUESTS,
    UNAVAILABLE_STATUSES,
    attempt_request,
    background_threads,
)
from quintet_e2e.faults import BROKER_RECOVERY_SECONDS, assert_recovered, seeded_random
from quintet_e2e.sockets import unfinished_uploads
from quintet_e2e.stacks import ON_ONE_STACK
from quintet_testing.waiting import eventually

pytestmark = [pytest.mark.fault, ON_ONE_STACK]

# E2E_KILLS=50 and E2E_ROUNDS=10 test longer.
KILLS = int(os.environ.get("E2E_KILLS") or 8)
ROUNDS = int(os.environ.get("E2E_ROUNDS") or 1)
ROWS = KILLS * 20_000
MAX_KILL_DELAY_SECONDS = 0.05
RECOVERY_SECONDS = 120
# Shorter than the time after which the remains of an interrupted upload are deleted.
ACCEPT_SECONDS = 100
UPLOADERS, MAX_FILE_ROWS, MAX_WAITING_IMPORTS = 3, 3000, 30
FROZEN_SECONDS = (0.5, 2)


def test_import_with_repeatedly_killed_worker_has_same_result_as_undisturbed_import(stack, client):
    random = seeded_random()
    undisturbed_id, disturbed_id = orders.first_unused_id(), orders.first_unused_id()
    undisturbed = orders.wait_for_end(
        client, orders.upload(client, orders.orders_file(undisturbed_id, ROWS, has_bad_ids=True))
    )
    stack.stop("orders-worker")
    task_id = orders.upload(client, orders.orders_file(disturbed_id, ROWS, has_bad_ids=True))
    stack.start("orders-worker")
    row_counts = [kill_during_import(stack, task_id, number / KILLS, random) for number in range(KILLS)]
    disturbed = orders.wait_for_end(client, task_id)
    print(f"killed {KILLS} times, at rows {row_counts}")
    assert row_counts == sorted(row_counts) and 0 < row_counts[-1] < ROWS
    assert disturbed["status"] == undisturbed["status"] == "SUCCESS"
    assert orders.row_counts(disturbed) == orders.row_counts(undisturbed)
    assert min(orders.row_counts(disturbed).values()) > 0
    assert orders.stored_summary(stack, disturbed_id, ROWS) == orders.stored_summary(stack, undisturbed_id, ROWS)
    assert orders.get_errors(client, task_id) == orders.get_errors(client, undisturbed["task_id"])
    assert_recovered(stack)


def kill_during_import(stack, task_id, fraction, random):
    """Kill the worker soon after releasing a row lock that blocked it; return how many rows it had imported before."""
    with orders.worker_blocked(stack, task_id, RECOVERY_SECONDS):
        before = imported_rows(stack, task_id)
    # Some kills wait for the next chunk and some do not, so that half of the rows remain at the last kill.
    if before <= fraction * ROWS / 2:
        eventually(lambda: imported_rows(stack, task_id) > before, RECOVERY_SECONDS)
    time.sleep(random.uniform(0, MAX_KILL_DELAY_SECONDS))
    stack.crash("orders-worker")
    return before


def imported_rows(stack, task_id):
    counts = "SELECT valid + invalid + duplicates + rejected FROM orders.imports WHERE id = %(id)s"
    return orders.query_database(stack, counts, id=task_id)[0][0]


def test_retry_after_killed_upload_is_accepted_immediately(stack, client):
    for _ in range(ROUNDS):
        retry_killed_upload(stack, client, orders.first_unused_id(), 500)
    assert_no_uploads_left(stack)
    assert_recovered(stack)


def retry_killed_upload(stack, client, first_id, count):
    headers, attempts = {**orders.CSV, "Idempotency-Key": secrets.token_hex(16)}, []
    content, before = orders.orders_file(first_id, count), open_uploads(stack)

    def send():
        attempts.append(attempt_request(lambda: client.put(f"{orders.API}/import", headers=headers, data=content)))
        return attempts[-1]

    with unfinished_uploads(client, f"{orders.API}/import", 1, Idempotency_Key=headers["Idempotency-Key"]):
        eventually(lambda: open_uploads(stack) - before, RECOVERY_SECONDS)
        # An upload in progress holds the Idempotency-Key.
        eventually(lambda: not send().is_unavailable, RECOVERY_SECONDS)
        assert attempts[-1].response.status_code == IN_PROGRESS, attempts[-1].description
        for worker in stack.gunicorn_master("orders-web").children():
            worker.kill()
        killed_at = time.monotonic()
        eventually(lambda: is_accepted(send()), ACCEPT_SECONDS)
    print(f"accepted {attempts[-1].ended_at - killed_at:.2f} s after the kill")
    eventually(lambda: is_accepted(send()), RECOVERY_SECONDS)
    assert attempts[-1].response.headers["Idempotent-Replayed"] == "true"
    status = orders.wait_for_end(client, attempts[-1].response.json()["result"]["task_id"])
    assert orders.row_counts(status) == orders.expected_counts(count)
    assert orders.stored_summary(stack, first_id, count)[0] == count


def is_accepted(attempt):
    """Return whether the upload was accepted; False while an attempt that the gateway abandoned is in progress."""
    assert attempt.is_unavailable or attempt.response.status_code in (202, IN_PROGRESS), attempt.description
    return not attempt.is_unavailable and attempt.response.status_code == 202


def open_uploads(stack):
    return set(orders.query_database(stack, "SELECT id FROM orders.open_uploads"))


@dataclass(frozen=True)
class SentFile:
    """A file that was sent; `is_confirmed` means that its sender received the confirmation of the service."""

    first_id: int
    count: int
    is_confirmed: bool


class Uploaders:
    """Threads that send small files without pauses, and one that disconnects during its uploads."""

    def __init__(self, client, random):
        self.client, self._random, self._lock = client, random, threading.Lock()
        self.sent = {}
        self.confirmed_count = 0
        self.interrupted_count = 0

    def work(self, number):
        if number == UPLOADERS:
            self._interrupt()
        elif not self._has_worker_backlog():
            self._send()
        time.sleep(0.1)

    def _has_worker_backlog(self):
        """Return whether too many imports wait: a slow machine accepts files faster than it imports them."""
        attempt = attempt_request(lambda: self.client.get(f"{orders.API}/import/status?limit={MAX_WAITING_IMPORTS}"))
        rows = attempt.response.json()["result"][MAX_WAITING_IMPORTS - 1 :] if attempt.is_ok else []
        return any(row["status"] in ("PENDING", "PROGRESS") for row in rows)

    def _send(self):
        first_id, count, request_id = (
            orders.first_unused_id(),
            self._random.randint(1, MAX_FILE_ROWS),
            self.client.request_id(),
        )
        headers = {**orders.CSV, "X-Request-ID": request_id}
        content = orders.orders_file(first_id, count)
        attempt = attempt_request(lambda: self.client.put(f"{orders.API}/import", headers=headers, data=content))
        # The gateway counts interrupted uploads of a user until it notices that they have ended.
        if attempt.response is not None and attempt.response.status_code == TOO_MANY_REQUESTS:
            return
        assert attempt.is_unavailable or attempt.response.status_code == 202, attempt.description
        is_confirmed = attempt.response is not None and attempt.response.status_code not in UNAVAILABLE_STATUSES
        with self._lock:
            self.sent[request_id] = SentFile(first_id, count, is_confirmed)
            self.confirmed_count += is_confirmed

    def _interrupt(self):
        with contextlib.suppress(OSError), unfinished_uploads(self.client, f"{orders.API}/import", 2):
            self.interrupted_count += 2
            time.sleep(0.2)


def test_confirmed_files_are_imported_once_while_processes_are_killed_and_frozen(stack, client):
    random = seeded_random()
    uploaders = Uploaders(client, random)
    with background_threads(UPLOADERS + 1, uploaders.work):
        for _ in range(ROUNDS):
            faults = list(faults_on(stack, random).items())
            for name, inject in random.sample(faults, len(faults)):
                time.sleep(random.uniform(0.1, 0.6))
                inject()
                ended_at, before = time.monotonic(), uploaders.confirmed_count
                eventually(lambda before=before: uploaders.confirmed_count > before + UPLOADERS, RECOVERY_SECONDS)
                print(f"{name}: uploads succeed again after {time.monotonic() - ended_at:.2f} s")
    assert_imported_once(stack, client, uploaders)
    assert_no_uploads_left(stack)
    assert_recovered(stack)


def faults_on(stack, random):
    """Return functions that inject a fault and return when it is over, by name."""

    def kill_postgres():
        stack.kill("postgres")
        eventually(stack.is_database_reachable, RECOVERY_SECONDS)

    def restart_rabbitmq():
        stack.stop("rabbitmq")
        stack.start("rabbitmq")
        eventually(stack.is_broker_reachable, 3 * BROKER_RECOVERY_SECONDS)

    def freeze(program):
        stack.freeze(program)
        time.sleep(random.uniform(*FROZEN_SECONDS))
        stack.thaw(program)

    return {
        "a web process is killed": lambda: stack.kill_gunicorn_worker("orders-web", random),
        "the web master is killed": lambda: stack.kill_gunicorn_master("orders-web"),
        "the worker is killed": lambda: stack.crash("orders-worker"),
        "postgres is killed": kill_postgres,
        "rabbitmq is restarted": restart_rabbitmq,
        **{
            f"{name} is frozen": partial(freeze, name)
            for name in ("orders-worker", "orders-web", "postgres", "rabbitmq")
        },
    }


def assert_imported_once(stack, client, uploaders):
    unfinished = "SELECT count(*) FROM orders.imports WHERE status IN ('PENDING', 'PROGRESS')"
    eventually(lambda: orders.query_database(stack, unfinished) == [(0,)], 2 * orders.IMPORT_SECONDS)
    imports = orders.query_database(
        stack,
        """
        SELECT request_id, status, valid, invalid, duplicates, rejected FROM orders.imports
        WHERE request_id LIKE %(prefix)s || '-%%'
        """,
        prefix=client.request_id_prefix,
    )
    import_counts = Counter(request_id for request_id, *_ in imports)
    assert set(import_counts) <= set(uploaders.sent), "an interrupted upload must not become an import"
    assert max(import_counts.values()) == 1
    for request_id, status, *counts in imports:
        sent = uploaders.sent[request_id]
        assert (status, dict(zip(orders.COUNTERS, counts, strict=True))) == (
            "SUCCESS",
            orders.expected_counts(sent.count),
        )
    rows = dict(orders.query_database(stack, "SELECT id >> 20, count(*) FROM orders.orders GROUP BY 1"))
    for request_id, sent in uploaders.sent.items():
        assert import_counts[request_id] == 1 or not sent.is_confirmed, request_id
        assert rows.get(sent.first_id >> 20, 0) == (sent.count if import_counts[request_id] else 0)
    print(f"{len(uploaders.sent)} files sent, {uploaders.confirmed_count} confirmed, {len(imports)} imported")
    print(f"{uploaders.interrupted_count} uploads interrupted")


def assert_no_uploads_left(stack):
    """Assert that abandoned uploads are deleted, after moving their last activity into the past."""
    orders.query_database(stack, "UPDATE orders.open_uploads SET seen_at = seen_at - interval '1 hour'")
    remaining = "SELECT (SELECT count(*) FROM orders.open_uploads), (SELECT count(*) FROM orders.upload_chunks)"
    eventually(lambda: orders.query_database(stack, remaining) == [(0, 0)], RECOVERY_SECONDS)
