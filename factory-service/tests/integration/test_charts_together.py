"""Without Redis, charts that are asked for at the same time are put together by one statement."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from chassis.strictjson import dumps
from factory_service.store import charts
from factory_service.store.reading import Sources

WRITERS, BATCHES, READERS = 3, 25, 6


@pytest.fixture
def held(monkeypatch):
    """The first statement waits until it is let go; `statements` are all of them."""

    class Held:
        def __init__(self):
            self.statements, self.begun, self.let_go = [], threading.Event(), threading.Event()

    held, rows = Held(), Sources._rows

    def slowly(*given):
        held.statements.append(given[2])
        held.begun.set()
        assert held.let_go.wait(60)
        return rows(*given)

    monkeypatch.setattr(Sources, "_rows", staticmethod(slowly))
    return held


def test_they_share_a_statement_and_each_gets_its_own(plain_app, client, a_factory, held, eventually):
    made = {a_factory(points, name=f"Of {points}"): points for points in (0, 1, 20, 1000, 1001, 1500)}
    held.statements.clear()
    ids = [*made, 10**15]
    together = plain_app.extensions["factory"].sources._together[""]
    with ThreadPoolExecutor(len(ids)) as pool:
        first = pool.submit(plain_app.test_client().get, f"/api/factory/{ids[0]}")
        assert held.begun.wait(60)
        others = [pool.submit(plain_app.test_client().get, f"/api/factory/{id_}") for id_ in ids[1:]]
        # Who asks for what somebody else has asked for in this process waits for that one's next look.
        eventually(lambda: len(together._waiting) == len(ids) - 1)
        held.let_go.set()
        answers = [first.result(), *(other.result() for other in others)]
    assert answers[-1].status_code == 404
    for id_, answer in zip(ids, answers[:-1], strict=False):
        assert answer.status_code == 200 and answer.json["id"] == id_
        assert answer.json["name"] == f"Of {made[id_]}"
        assert answer.json["factory"]["chart_data"]["time"] == [1611194818 + 60 * n for n in range(made[id_])]
    assert [len(given["ids"]) for given in held.statements if "ids" in given][:2] == [1, len(ids) - 1]


@pytest.mark.parametrize("part", charts.PARTS)
def test_what_is_put_together_for_several_is_what_is_put_together_for_one(plain_app, client, db, a_factory, part):
    id_ = a_factory(7, name='Of "seven"')
    sources = plain_app.extensions["factory"].sources
    params = {"id": id_, "first": 0, "last": 2**53, "cut": False}
    alone = sources.find(f"factory:{id_}", charts.WHOLE[part], params, locked=False)
    assert tuple(sources.find_chart(part, id_)) == alone[:2]


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
