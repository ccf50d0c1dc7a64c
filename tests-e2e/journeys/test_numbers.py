"""Numbers are handed out once and none is lost, whatever is killed meanwhile."""

import secrets
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field

import pytest

from quintet_e2e.clients import all_at_once, attempt, crowd, done
from quintet_e2e.faults import POSTGRES_BACK_WITHIN, SERVICE_BACK_WITHIN, Watched, assert_healed, chosen_random
from quintet_testing.waiting import eventually

CLIENTS = 50
KILLS = 12
HOW_MANY = [1, 1, 1, 1, 2, 7, 50, 400]
WITHOUT_A_FAULT = 1000


def state_of(client, name):
    return done(client.get(f"/sequences/{name}"))


def issued(state):
    """All that were ever handed out, over all cycles."""
    size = state["maximum"] - state["minimum"] + 1
    return state["cycles"] * size + state["next"] - state["minimum"]


def own_sequence(client, maximum, *, cycle):
    name = f"own-{secrets.token_hex(4)}"
    made = client.put(f"/sequences/{name}", json={"minimum": 1, "maximum": maximum, "cycle": cycle})
    assert made.status_code == 201
    return name


def number_at(state, ticket):
    return state["minimum"] + ticket % (state["maximum"] - state["minimum"] + 1)


@dataclass
class Drawn:
    """By all clients: what was answered, and how many were asked for in vain (and may be gone)."""

    lists: dict[str, list[list[int]]] = field(default_factory=lambda: defaultdict(list))
    asked_in_vain: Counter = field(default_factory=Counter)

    def numbers(self, name):
        return [number for numbers in self.lists[name] for number in numbers]


def draw(client, random, watched, drawn, keyless, keyed):
    """Once, from any of the sequences; with an Idempotency-Key again and again until the outcome is known."""
    name, count = random.choice([*keyless, *keyed]), random.choice(HOW_MANY)
    if name in keyed:
        path, wanted = f"/sequences/{name}/next", {"n": count}
        drawn.lists[name].append(done(client.until_known("POST", path, headers={}, json=wanted))["sequence_list"])
        return
    tried = attempt(lambda: client.get(f"/{name}?n={count}"))
    watched.note(tried)
    if tried.is_ok:
        numbers = tried.answer.json()["sequence_list"]
        assert len(numbers) == count
        drawn.lists[name].append(numbers)
    else:
        drawn.asked_in_vain[name] += count


def kill_in_turn(stack, random, watched):
    """Each time waits until nobody is told of it any longer, so that recovery is measured, and begins again."""
    victims = ["a worker", "the master", "postgres"] * (KILLS // 3)
    random.shuffle(victims)
    for victim in victims:
        time.sleep(random.uniform(0.1, 0.6))
        since, within = time.monotonic(), SERVICE_BACK_WITHIN
        if victim == "a worker":
            stack.kill_a_gunicorn_worker("sequence-web", random)
        elif victim == "the master":
            stack.kill_gunicorn("sequence-web")
        else:
            stack.kill("postgres")
            eventually(stack.database_answers, 60)
            since, within = time.monotonic(), POSTGRES_BACK_WITHIN
        print(f"{victim}: last failure after {watched.wait_until_unharmed(since, within):.2f} s")


def assert_contiguous(state, numbers):
    first = (numbers[0] - state["minimum"]) if numbers else 0
    assert numbers == [number_at(state, first + ticket) for ticket in range(len(numbers))]


def assert_handed_out_once(before, after, drawn):
    """Each number at most as often as the tickets between the two states hold it: in a cycle once."""
    name, first, last = after["name"], issued(before), issued(after)
    for numbers in drawn.lists[name]:
        assert_contiguous(after, numbers)
    answered = Counter(drawn.numbers(name))
    assert answered <= Counter(number_at(after, ticket) for ticket in range(first, last))
    assert 0 <= last - first - answered.total() <= drawn.asked_in_vain[name]


@pytest.fixture
def sequences(client):
    """Two of the four, and two of one's own: each time one that begins again under way and one that does not."""
    keyed = [own_sequence(client, 997, cycle=True), own_sequence(client, 10**12, cycle=False)]
    return ["sequence", "image-sequence"], keyed


def test_fifty_clients_draw_while_processes_are_killed(stack, client, sequences):
    random, watched, drawn = chosen_random(), Watched(), Drawn()
    keyless, keyed = sequences
    before = {name: state_of(client, name) for name in [*keyless, *keyed]}
    with crowd(CLIENTS, lambda _: draw(client, random, watched, drawn, keyless, keyed)):
        kill_in_turn(stack, random, watched)
        healed = time.monotonic()
        time.sleep(2)
    watched.assert_no_failure_since(healed)
    after = {name: state_of(client, name) for name in before}
    for name, state in after.items():
        assert_handed_out_once(before[name], state, drawn)
        print(f"{name}: {len(drawn.numbers(name))} numbers, {drawn.asked_in_vain[name]} asked for in vain")
    assert_healed(stack)


def test_without_a_fault_no_number_is_wasted(client):
    before = state_of(client, "image-sequence")
    each = WITHOUT_A_FAULT // CLIENTS

    def draws(_):
        return [done(client.get("/image-sequence"))["sequence_no"] for _ in range(each)]

    numbers = sorted(number for several in all_at_once(CLIENTS, draws) for number in several)
    assert numbers == [number_at(before, issued(before) + ticket) for ticket in range(WITHOUT_A_FAULT)]
    assert issued(state_of(client, "image-sequence")) == issued(before) + WITHOUT_A_FAULT


def test_an_answer_is_whole_or_an_error(client):
    name = own_sequence(client, 10, cycle=False)
    assert done(client.post(f"/sequences/{name}/next", json={"n": 8}))["sequence_list"] == list(range(1, 9))
    assert client.post(f"/sequences/{name}/next", json={"n": 3}).status_code == 409
    assert done(client.post(f"/sequences/{name}/next", json={"n": 2}))["sequence_list"] == [9, 10]


def test_a_retry_with_the_same_key_gets_the_same_numbers(client):
    name = own_sequence(client, 1000, cycle=False)
    key = {"Idempotency-Key": secrets.token_hex()}
    first = client.post(f"/sequences/{name}/next", json={"n": 3}, headers=key)
    again = client.post(f"/sequences/{name}/next", json={"n": 3}, headers=key)
    assert again.json() == first.json() == {"sequence_list": [1, 2, 3], "formatted": ["1", "2", "3"]}
    assert again.headers["Idempotent-Replayed"] == "true"
    assert "Idempotent-Replayed" not in first.headers
    assert client.post(f"/sequences/{name}/next", json={"n": 4}, headers=key).status_code == 422
    assert issued(state_of(client, name)) == 3
