"""Imports and uploads go through kills of everything: what was answered is in, once, and nothing else is."""

import contextlib
import os
import secrets
import threading
import time
from collections import Counter
from dataclasses import dataclass
from functools import partial

import psycopg2

from quintet_e2e import orders
from quintet_e2e.clients import AWAY, STILL_UNDER_WAY, TOO_MANY, attempt, crowd
from quintet_e2e.faults import BROKER_BACK_WITHIN, assert_healed, chosen_random
from quintet_e2e.sockets import unfinished_uploads
from quintet_testing.waiting import eventually

# More on purpose: E2E_KILLS=50, E2E_ROUNDS=10.
KILLS = {"local": 20, "compose": 10}
ROUNDS = {"local": 2, "compose": 1}
ROWS = 400_000
LONGEST_WINDOW = 0.05
BACK_WITHIN = 120
# Sooner than what was left of a killed upload is given up.
TAKEN_WITHIN = 100
UPLOADERS, MOST_ROWS, MOST_WAITING = 3, 3000, 30
FROZEN_SECONDS = (0.5, 2)
# Postgres and the broker are given up after ten seconds without an answer.
CUT_SECONDS = (1, 15)


def test_an_import_whose_worker_is_killed_again_and_again_ends_as_if_nothing_had_been(stack, client):
    random, kills = chosen_random(), int(os.environ.get("E2E_KILLS") or KILLS[stack.kind])
    calm, hurt = orders.new_ids(), orders.new_ids()
    undisturbed = orders.ended(client, orders.upload(client, orders.orders(calm, ROWS, spoiled=True)))
    stack.stop("orders-worker")
    task_id = orders.upload(client, orders.orders(hurt, ROWS, spoiled=True))
    stack.start("orders-worker")
    with contextlib.closing(psycopg2.connect(stack.database_url)) as gate:
        seen = [kill_in_the_midst(stack, gate, task_id, number / kills, random) for number in range(kills)]
    ended = orders.ended(client, task_id)
    print(f"killed {kills} times, at rows {seen}")
    assert seen == sorted(seen) and 0 < seen[-1] < ROWS
    assert ended["status"] == undisturbed["status"] == "SUCCESS"
    assert orders.fates_in(ended) == orders.fates_in(undisturbed)
    assert min(orders.fates_in(ended).values()) > 0
    assert orders.stored(stack, hurt, ROWS) == orders.stored(stack, calm, ROWS)
    assert orders.errors_of(client, task_id) == orders.errors_of(client, undisturbed["task_id"])
    assert_healed(stack)


def kill_in_the_midst(stack, gate, task_id, share, random):
    """The rows that were in when the worker, which waits behind a lock of ours, was let through and then killed."""
    with gate.cursor() as cursor:
        cursor.execute("SELECT FROM orders.imports WHERE id = %s FOR UPDATE", (task_id,))
    eventually(lambda: is_waiting(stack), BACK_WITHIN)
    before = rows_in(stack, task_id)
    gate.commit()
    # Now with a step behind it, now with none: half of the rows are left when the last kill comes.
    if before <= share * ROWS / 2:
        eventually(lambda: rows_in(stack, task_id) > before, BACK_WITHIN)
    time.sleep(random.uniform(0, LONGEST_WINDOW))
    stack.crash("orders-worker")
    return before


def rows_in(stack, task_id):
    counts = "SELECT valid + invalid + duplicates + rejected FROM orders.imports WHERE id = %(id)s"
    return orders.ask_database(stack, counts, id=task_id)[0][0]


def is_waiting(stack):
    waits = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'orders' AND wait_event_type = 'Lock'"
    return orders.ask_database(stack, waits) > [(0,)]


def test_who_sends_again_after_the_server_was_killed_amid_his_upload_is_served_at_once(stack, client):
    for _ in range(int(os.environ.get("E2E_ROUNDS") or ROUNDS[stack.kind])):
        send_again(stack, client, orders.new_ids(), 500)
    assert_nothing_is_left(stack)
    assert_healed(stack)


def send_again(stack, client, first, count):
    headers, tries = {**orders.CSV, "Idempotency-Key": secrets.token_hex(16)}, []
    content, before = orders.orders(first, count), uploads_on(stack)

    def send():
        tries.append(attempt(lambda: client.put(f"{orders.API}/import", headers=headers, data=content)))
        return tries[-1]

    with unfinished_uploads(client, f"{orders.API}/import", 1, Idempotency_Key=headers["Idempotency-Key"]):
        eventually(lambda: uploads_on(stack) - before, BACK_WITHIN)
        # Whose upload still goes on holds the key.
        eventually(lambda: not send().is_away, BACK_WITHIN)
        assert tries[-1].answer.status_code == STILL_UNDER_WAY, tries[-1].told
        for worker in stack.gunicorn("orders-web").children():
            worker.kill()
        killed = time.monotonic()
        eventually(lambda: is_taken(send()), TAKEN_WITHIN)
    print(f"in {tries[-1].ended - killed:.2f} s after the kill")
    eventually(lambda: is_taken(send()), BACK_WITHIN)
    assert tries[-1].answer.headers["Idempotent-Replayed"] == "true"
    ended = orders.ended(client, tries[-1].answer.json()["result"]["task_id"])
    assert orders.fates_in(ended) == orders.fates_of(count)
    assert orders.stored(stack, first, count)[0] == count


def is_taken(tried):
    """Or not yet: a try that the gateway gave up may still be under way."""
    assert tried.is_away or tried.answer.status_code in (202, STILL_UNDER_WAY), tried.told
    return not tried.is_away and tried.answer.status_code == 202


def uploads_on(stack):
    return set(orders.ask_database(stack, "SELECT id FROM orders.open_uploads"))


@dataclass(frozen=True)
class Sent:
    """A file; `is_known` that it was answered that it is in."""

    first: int
    count: int
    is_known: bool


class Uploaders:
    """Send small files without a pause, and break off in the midst of others."""

    def __init__(self, client, random):
        self.client, self._random, self._lock = client, random, threading.Lock()
        self.sent = {}
        self.known = 0
        self.broken_off = 0

    def work(self, number):
        if number == UPLOADERS:
            self._break_off()
        elif not self._is_worker_behind():
            self._send()
        time.sleep(0.1)

    def _is_worker_behind(self):
        """A slow machine takes files faster than it imports them."""
        tried = attempt(lambda: self.client.get(f"{orders.API}/import/status?limit={MOST_WAITING}"))
        oldest = tried.answer.json()["result"][MOST_WAITING - 1 :] if tried.is_ok else []
        return any(found["status"] in ("PENDING", "PROGRESS") for found in oldest)

    def _send(self):
        first, count, request_id = orders.new_ids(), self._random.randint(1, MOST_ROWS), self.client.request_id()
        headers = {**orders.CSV, "X-Request-ID": request_id}
        content = orders.orders(first, count)
        tried = attempt(lambda: self.client.put(f"{orders.API}/import", headers=headers, data=content))
        # Uploads that broke off count among those of the user until the gateway has noticed.
        if tried.answer is not None and tried.answer.status_code == TOO_MANY:
            return
        assert tried.is_away or tried.answer.status_code == 202, tried.told
        is_known = tried.answer is not None and tried.answer.status_code not in AWAY
        with self._lock:
            self.sent[request_id] = Sent(first, count, is_known)
            self.known += is_known

    def _break_off(self):
        with contextlib.suppress(OSError), unfinished_uploads(self.client, f"{orders.API}/import", 2):
            self.broken_off += 2
            time.sleep(0.2)


def test_what_is_answered_is_in_once_whatever_is_killed_meanwhile(stack, client):
    random = chosen_random()
    uploaders = Uploaders(client, random)
    with crowd(UPLOADERS + 1, uploaders.work):
        for _ in range(int(os.environ.get("E2E_ROUNDS") or ROUNDS[stack.kind])):
            faults = list(faults_on(stack, random).items())
            for name, inflict in random.sample(faults, len(faults)):
                time.sleep(random.uniform(0.1, 0.6))
                inflict()
                healed, known = time.monotonic(), uploaders.known
                eventually(lambda known=known: uploaders.known > known + UPLOADERS, BACK_WITHIN)
                print(f"{name}: files go in again after {time.monotonic() - healed:.2f} s")
    assert_in_once(stack, client, uploaders)
    assert_nothing_is_left(stack)
    assert_healed(stack)


def faults_on(stack, random):
    """Each by its name; it returns when it is over."""

    def kill_postgres():
        stack.kill("postgres")
        eventually(stack.database_answers, BACK_WITHIN)

    def restart_rabbitmq():
        stack.stop("rabbitmq")
        stack.start("rabbitmq")
        eventually(stack.broker_answers, 3 * BROKER_BACK_WITHIN)

    def freeze(program):
        stack.freeze(program)
        time.sleep(random.uniform(*FROZEN_SECONDS))
        stack.thaw(program)

    def cut_off(program):
        with stack.cut_off(program):
            time.sleep(random.uniform(*CUT_SECONDS))

    faults = {
        "a web worker is killed": lambda: stack.kill_a_gunicorn_worker("orders-web", random),
        "the web master is killed": lambda: stack.kill_gunicorn("orders-web"),
        "the worker is killed": lambda: stack.crash("orders-worker"),
        "postgres is killed": kill_postgres,
        "rabbitmq is restarted": restart_rabbitmq,
        **{
            f"{name} is frozen": partial(freeze, name)
            for name in ("orders-worker", "orders-web", "postgres", "rabbitmq")
        },
    }
    if stack.kind == "compose":
        faults |= {f"{name} is cut off": partial(cut_off, name) for name in ("orders-web", "orders-worker")}
    return faults


def assert_in_once(stack, client, uploaders):
    unfinished = "SELECT count(*) FROM orders.imports WHERE status IN ('PENDING', 'PROGRESS')"
    eventually(lambda: orders.ask_database(stack, unfinished) == [(0,)], 2 * orders.IMPORTED_WITHIN)
    found = orders.ask_database(
        stack,
        """
        SELECT request_id, status, valid, invalid, duplicates, rejected FROM orders.imports
        WHERE request_id LIKE %(label)s || '-%%'
        """,
        label=client.label,
    )
    times = Counter(request_id for request_id, *_ in found)
    assert set(times) <= set(uploaders.sent), "none of what was broken off is an import"
    assert max(times.values()) == 1
    for request_id, status, *fates in found:
        sent = uploaders.sent[request_id]
        assert (status, dict(zip(orders.FATES, fates, strict=True))) == ("SUCCESS", orders.fates_of(sent.count))
    rows = dict(orders.ask_database(stack, "SELECT id >> 20, count(*) FROM orders.orders GROUP BY 1"))
    for request_id, sent in uploaders.sent.items():
        assert times[request_id] == 1 or not sent.is_known, request_id
        assert rows.get(sent.first >> 20, 0) == (sent.count if times[request_id] else 0)
    told = f"{len(uploaders.sent)} files sent, {uploaders.known} answered, {len(found)} in"
    print(f"{told}; {uploaders.broken_off} broken off")


def assert_nothing_is_left(stack):
    """Of uploads that nobody ended, once they have been silent for long enough: here the clock is put forward."""
    orders.ask_database(stack, "UPDATE orders.open_uploads SET seen_at = seen_at - interval '1 hour'")
    left = "SELECT (SELECT count(*) FROM orders.open_uploads), (SELECT count(*) FROM orders.upload_chunks)"
    eventually(lambda: orders.ask_database(stack, left) == [(0, 0)], BACK_WITHIN)
