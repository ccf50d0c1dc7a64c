"""`quintet consume` neither skips nor reorders events while its handlers and the servers are killed."""

import itertools
import json
import secrets
import signal
import threading
from collections import Counter
from contextlib import suppress
from functools import partial

import psutil
import pytest

from quintet_e2e.clients import ok_json
from quintet_e2e.faults import assert_recovered, seeded_random
from quintet_e2e.stacks import ON_ONE_STACK
from quintet_testing.waiting import eventually

pytestmark = ON_ONE_STACK

COUNT = 200
PROGRESS_SECONDS = 180
# The fifth refusal of an event would park it for the consumer.
MAX_KILLS_PER_EVENT = 3
MIN_KILLS = 10
# The handler may be killed before its effect or after it.
HANDLER = """#!/bin/sh
grep -q '"position":'
sleep 0.02
echo "$QUINTET_EVENT_POSITION" >> handled.log
sleep 0.02
"""


class HandlerKiller(threading.Thread):
    """Kills the handlers of a process at random moments."""

    def __init__(self, process, random):
        super().__init__()
        self._parent, self._random = psutil.Process(process.pid), random
        self._stop_event = threading.Event()
        self.kills = Counter()

    def run(self):
        while not self._stop_event.wait(self._random.uniform(0.05, 0.3)):
            with suppress(psutil.NoSuchProcess, IndexError, KeyError):
                handler = self._parent.children()[0]
                position = int(handler.environ()["QUINTET_EVENT_POSITION"])
                if self.kills[position] < MAX_KILLS_PER_EVENT:
                    handler.kill()
                    self.kills[position] += 1

    def stop(self):
        self._stop_event.set()
        self.join()


@pytest.mark.fault
def test_each_event_is_handled_in_order_while_handlers_and_servers_are_killed(stack, client, cli, quintet, tmp_path):
    random = seeded_random()
    stream = quintet.streams(f"cli-{secrets.token_hex(4)}")
    stream.append_many(("Counted", {"n": number}) for number in range(1, COUNT + 1))
    handler = tmp_path / "handler"
    handler.write_text(HANDLER)
    handler.chmod(0o755)
    log = tmp_path / "handled.log"
    log.touch()

    def handled():
        return [int(line) for line in log.read_text().split()]

    arguments = ("consume", stream.name, "Counted", "--consumer", "c", "--delay", 0, "--json", "--", "./handler")
    lines = []
    with cli.start(*arguments) as process:
        reader = threading.Thread(target=lambda: lines.extend(map(json.loads, process.stdout)))
        reader.start()
        killer = HandlerKiller(process, random)
        killer.start()
        try:
            faults = faults_on(stack, random)
            for number, fault in enumerate(faults, 1):
                eventually(lambda number=number: max(handled(), default=0) > COUNT * number // 6, PROGRESS_SECONDS)
                assert max(handled()) < COUNT, "the work ended before the process was killed"
                fault()
            eventually(lambda: COUNT in handled(), PROGRESS_SECONDS)
            killer.stop()
            eventually(lambda: lag(client, stream.name) == 0, PROGRESS_SECONDS)
            process.send_signal(signal.SIGTERM)
            assert process.wait(PROGRESS_SECONDS) == 0
        finally:
            killer.stop()
            process.kill()
            reader.join(PROGRESS_SECONDS)
            print(process.stderr.read())
    print(f"{killer.kills.total()} handlers were killed")
    assert killer.kills.total() >= MIN_KILLS
    # At least once, in order, none skipped: the same event may repeat, or the next one follows.
    numbers = handled()
    assert list(dict.fromkeys(numbers)) == [*range(1, COUNT + 1)]
    assert numbers == sorted(numbers)
    # After a refusal, the same event is handled again; each is acknowledged once.
    assert [line["position"] for line in lines if line["outcome"] == "acknowledged"] == [*range(1, COUNT + 1)]
    refused = [(line, after) for line, after in itertools.pairwise(lines) if line["outcome"] == "refused"]
    assert len(refused) >= MIN_KILLS
    assert all(line["position"] == after["position"] for line, after in refused)
    assert not list(stream.consumer("c").parked())
    assert_recovered(stack)


def faults_on(stack, random):
    faults = [
        partial(stack.crash, "gateway"),
        partial(stack.kill_gunicorn_worker, "event-web", random),
        partial(stack.crash, "event-web"),
        partial(stack.crash, "postgres"),
    ]
    return random.sample(faults, len(faults))


def lag(client, stream):
    response = client.get(f"/api/v1/streams/{stream}/consumers")
    return ok_json(response)["consumers"][0]["lag"] if response.ok else None
