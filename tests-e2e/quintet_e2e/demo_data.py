"""Fills a stack with realistic data, for screenshots of the console."""

import contextlib
import datetime
import itertools
import math
import random

import pika

from quintet import FlowFailed, NewEvent, Quintet
from quintet_e2e.orders import API, CSV, orders_file, sample_file
from quintet_e2e.specs import ROWS, spec
from quintet_e2e.stacks import RunningStack
from quintet_testing.waiting import eventually

HOUR = 3600
_PLANTS = ("Augsburg", "Detroit", "Graz", "Kobe", "Porto", "Turin")
_CARRIERS = ("DHL", "UPS", "GLS")


def fill(stack: RunningStack) -> dict[str, str]:
    """Create data of all services as several users; return names for the paths of the pages that show it."""
    rng = random.Random(7)
    admin = Quintet(stack.client_url())
    writers = [Quintet(stack.client_url(name, stack.add_user(name, "writer"))) for name in ("ann", "jonas", "mei")]
    _add_sequences(writers, rng)
    _add_events(writers[0], rng)
    task_id, request_id = _add_orders(writers[1])
    _add_datasets(writers[2])
    factory = _add_factories(admin, rng)
    _add_dead_letter(stack, admin)
    for client in (admin, *writers):
        client.close()
    return {
        "sequence": "invoices", "stream": "shipments", "import": task_id, "dataset": "mei/wine-list",
        "failed_dataset": "mei/price-list", "factory": factory, "request_id": request_id,
    }  # fmt: skip


def _add_sequences(writers: list[Quintet], rng: random.Random) -> None:
    sequences = writers[0].sequences
    for name, form in (("invoices", "INV-{year}-{:05d}"), ("credit-notes", "CN-{year}-{:05d}")):
        sequences.create(name, maximum=99999, format=form, reset="year", timezone="Europe/Berlin", audit=True)
    sequences.create("shipping-labels", minimum=500_000, maximum=504_999, format="{:06d}")
    sequences.create("pallet-numbers", maximum=9999, cycle=True, format="P{:04d}")
    for _ in range(40):
        rng.choice(writers).sequences.next("invoices", rng.choice((1, 1, 1, 2, 25)))
    sequences.next("credit-notes", 17)
    sequences.next("pallet-numbers", 412)
    for _ in range(5):
        writers[1].sequences.next("shipping-labels", 940)


def _add_events(writer: Quintet, rng: random.Random) -> None:
    """Append shipments, and let consumers read some of them: one is up to date, one lags, one parks an event."""
    stream = writer.streams("shipments", producer="warehouse")
    system = {"id": "wms", "name": "Warehouse", "timezone": "Europe/Berlin"}
    trigger = {"type": "user", "name": "scanner-4"}
    for number in range(120):
        shipment = {
            "order": f"INV-2026-{number + 1:05d}",
            "parcels": rng.randint(1, 4),
            "carrier": rng.choice(_CARRIERS),
            "weight_kg": round(rng.uniform(0.4, 31), 2),
        }
        names = ("ShipmentPacked", "ShipmentHandedOver") if number % 3 else ("ShipmentPacked", "ShipmentDelayed")
        stream.append_many(NewEvent(name, shipment, system=system, trigger=trigger) for name in names)
    stream.consumer("billing").offset("ShipmentPacked", to="end")
    stream.consumer("tracking").offset("ShipmentPacked", to=40)
    with stream.consume("notifications", "ShipmentDelayed") as events:
        # The fifth refusal parks the event.
        for event in itertools.islice(events, 5):
            event.refuse("the customer has no e-mail address", delay_seconds=0)


def _add_orders(writer: Quintet) -> tuple[str, str]:
    """Import three files; return the IDs of the last import and of its request."""
    for file in (sample_file(10_000), orders_file(50_000, 20_000), orders_file(90_000, 300, has_bad_ids=True)):
        response = writer.request("PUT", f"{API}/import", content=file, headers=CSV)
        task = writer.orders.task(response.json()["result"]["task_id"])
        task.wait()
    return task.id, response.headers["X-Request-ID"]


def _add_datasets(writer: Quintet) -> None:
    """Upload datasets; the only flow of the price list fails."""
    wines = [{"name": f"Wine {number}", "year": 2000 + number % 20} for number in range(300)]
    prices = [{"name": "Malbec", "year": "unknown"}]
    datasets = [("wine-list", wines)] * 3 + [("suppliers", ROWS), ("price-list", prices)]
    flows = [writer.datasets.upload(spec(writer.user, dataset, rows)) for dataset, rows in datasets]
    for flow in flows:
        with contextlib.suppress(FlowFailed):
            flow.wait()


def _add_factories(admin: Quintet, rng: random.Random) -> str:
    """Create factories with 60 days of hourly production, and return the ID of the first."""
    end = int(datetime.datetime.now(datetime.UTC).timestamp()) // HOUR * HOUR
    ids = []
    for plant in _PLANTS:
        goal = rng.randrange(300, 900, 50)
        points = [(time, _production(goal, time, rng), goal) for time in range(end - 60 * 24 * HOUR, end, HOUR)]
        ids.append(admin.factories.create(f"Plant {plant}", points).id)
    for teeth in (8, 12, 16, 24):
        admin.sprockets.create(teeth=teeth, pitch_diameter=teeth * 3, outside_diameter=teeth * 3 + 4, pitch=teeth // 4)
    return str(ids[0])


def _production(goal: int, time: int, rng: random.Random) -> int:
    daily = math.sin(time % (24 * HOUR) / (24 * HOUR) * 2 * math.pi)
    outage = 0.5 if time // HOUR % 97 < 3 else 1.0
    return round(goal * outage * (1.03 + 0.05 * daily + rng.gauss(0, 0.02)))


def _add_dead_letter(stack: RunningStack, admin: Quintet) -> None:
    """Send a job that cannot be parsed, which its worker moves to the dead letters."""
    with pika.BlockingConnection(pika.URLParameters(stack.amqp_url)) as connection:
        properties = pika.BasicProperties(message_id="6e0c3c1e-8f6e-4a57-9a5e-2f8c1f0b7a11", delivery_mode=2)
        connection.channel().basic_publish(
            "", "specstore.refresh", b'{"flow": "mei/wine-list/1", "attempt": }', properties
        )
    eventually(lambda: admin.dead_letters.list("specstore.refresh"))
