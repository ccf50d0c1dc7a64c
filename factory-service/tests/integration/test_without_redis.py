"""Without Redis, concurrent readers of the same version share one query, and every reader sees each completed write."""

import threading
from concurrent.futures import ThreadPoolExecutor

from chassis.strictjson import dumps
from factory_service.store.replica import ReplicaAwareReader

WRITERS, BATCHES, READERS = 3, 25, 6


def test_concurrent_readers_share_a_query(app_without_redis, client, a_factory, monkeypatch, eventually):
    find, queried_versions, may_continue = ReplicaAwareReader.find, [], threading.Event()

    def find_slowly(self, version, query):
        queried_versions.append(version)
        assert may_continue.wait(60)
        return find(self, version, query)

    monkeypatch.setattr(ReplicaAwareReader, "find", find_slowly)
    ids = [a_factory(3), a_factory(4)]
    cache = app_without_redis.extensions["responses"]
    with ThreadPoolExecutor(20) as pool:
        futures = [
            pool.submit(app_without_redis.test_client().get, f"/api/factory/{ids[n % 2]}/time") for n in range(20)
        ]
        eventually(lambda: len(queried_versions) == 2 and not cache._lookups._has_leader)
        may_continue.set()
        responses = [future.result() for future in futures]
    assert [len(response.json["time"]) for response in responses] == [3, 4] * 10
    assert len(set(queried_versions)) == 2 and len(queried_versions) <= 4


def test_reads_see_all_production_recorded_before_them(app_without_redis, client, a_factory, deliver_message, db):
    ids = [a_factory(0) for _ in range(WRITERS)]
    begun, completed, errors, is_over = [0] * WRITERS, [0] * WRITERS, [], threading.Event()

    def write(writer):
        for number in range(BATCHES):
            body = {"factory": ids[writer], "sent": number + 1, "time": [number], "actual": [number], "goal": [0]}
            begun[writer] = number + 1
            message_id = f"00000000-0000-0000-{writer:04}-{number:012}"
            deliver_message(db, "factory.production", message_id, dumps(body))
            completed[writer] = number + 1

    def read(reader):
        client, reads = app_without_redis.test_client(), 0
        while not is_over.is_set() or reads < 10:
            writer, reads = (reader + reads) % WRITERS, reads + 1
            minimum = completed[writer]
            count = len(client.get(f"/api/factory/{ids[writer]}/time").json["time"])
            if not minimum <= count <= begun[writer]:
                errors.append(f"{count} is not between {minimum} and {begun[writer]}")

    with ThreadPoolExecutor(WRITERS + READERS) as pool:
        reading = [pool.submit(read, reader) for reader in range(READERS)]
        try:
            for writing in [pool.submit(write, writer) for writer in range(WRITERS)]:
                writing.result()
        finally:
            is_over.set()
        for future in reading:
            future.result()
    assert errors == []
