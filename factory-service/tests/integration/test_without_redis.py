"""Without Redis, readers of the same version of a response share one query, and none of them misses a write."""

import threading
from concurrent.futures import ThreadPoolExecutor

from chassis.strictjson import dumps
from factory_service.store.replica import ReplicaAwareReader

WRITERS, BATCHES, READERS = 3, 25, 6


def test_readers_that_arrive_together_share_a_query(plain_app, client, a_factory, monkeypatch, eventually):
    find, seen, let_go = ReplicaAwareReader.find, [], threading.Event()

    def slowly(self, version, sql, params):
        seen.append(params["id"])
        assert let_go.wait(60)
        return find(self, version, sql, params)

    monkeypatch.setattr(ReplicaAwareReader, "find", slowly)
    ids = [a_factory(3), a_factory(4)]
    cache = plain_app.extensions["responses"]
    with ThreadPoolExecutor(20) as pool:
        reading = [pool.submit(plain_app.test_client().get, f"/api/factory/{ids[n % 2]}/time") for n in range(20)]
        eventually(lambda: len(seen) == 2 and not cache._lookups._led)
        let_go.set()
        answers = [reader.result() for reader in reading]
    assert [len(answer.json["time"]) for answer in answers] == [3, 4] * 10
    assert sorted(seen)[:2] == sorted(ids) and len(seen) <= 4


def test_each_production_that_was_taken_in_is_seen(plain_app, client, a_factory, delivered, db):
    """Who begins to read after it was taken in must see that or more of it."""
    ids = [a_factory(0) for _ in range(WRITERS)]
    begun, answered, wrong, is_over = [0] * WRITERS, [0] * WRITERS, [], threading.Event()

    def write(place):
        for number in range(BATCHES):
            body = {"factory": ids[place], "sent": number + 1, "time": [number], "actual": [number], "goal": [0]}
            begun[place] = number + 1
            delivered(db, "factory.production", f"00000000-0000-0000-{place:04}-{number:012}", dumps(body))
            answered[place] = number + 1

    def read(number):
        reader, reads = plain_app.test_client(), 0
        while not is_over.is_set() or reads < 10:
            place, reads = (number + reads) % WRITERS, reads + 1
            least = answered[place]
            answer = reader.get(f"/api/factory/{ids[place]}/time")
            if not least <= len(answer.json["time"]) <= begun[place]:
                wrong.append(f"{len(answer.json['time'])} is none of {least} … {begun[place]}")

    with ThreadPoolExecutor(WRITERS + READERS) as pool:
        reading = [pool.submit(read, number) for number in range(READERS)]
        try:
            for writing in [pool.submit(write, place) for place in range(WRITERS)]:
                writing.result()
        finally:
            is_over.set()
        for each in reading:
            each.result()
    assert wrong == []
