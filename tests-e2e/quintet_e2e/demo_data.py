"""Fills a stack with realistic data, for screenshots of the console."""

import datetime
import math
import random
from functools import partial
from typing import Any

import pika

from quintet_e2e.clients import Client, ok_json
from quintet_e2e.orders import API, CSV, orders_file, sample_file
from quintet_e2e.specs import Owner
from quintet_e2e.stacks import RunningStack
from quintet_e2e.streams import stream_path
from quintet_testing.waiting import eventually

HOUR = 3600
_PLANTS = ("Augsburg", "Detroit", "Graz", "Kobe", "Porto", "Turin")
_CARRIERS = ("DHL", "UPS", "GLS")


def fill(stack: RunningStack) -> dict[str, str]:
    """Create data of all services as several users; return names for the paths of the pages that show it."""
    rng = random.Random(7)
    admin = Client(stack)
    writers = [Client(stack, name, stack.add_user(name, "writer")) for name in ("ann", "jonas", "mei")]
    _add_sequences(writers, rng)
    _add_events(writers[0], rng)
    task_id, request_id = _add_orders(writers[1])
    dataset, failed_dataset = _add_datasets(writers[2])
    factory = _add_factories(admin, rng)
    for client in (admin, *writers):
        client.close()
    _add_dead_letter(stack)
    return {
        "sequence": "invoices", "stream": "shipments", "import": task_id, "dataset": dataset,
        "failed_dataset": failed_dataset, "factory": factory, "request_id": request_id,
    }  # fmt: skip


def _add_sequences(writers: list[Client], rng: random.Random) -> None:
    year = {"minimum": 1, "maximum": 99999, "reset": "year", "timezone": "Europe/Berlin", "audit": True}
    definitions = {
        "invoices": year | {"format": "INV-{year}-{:05d}"},
        "credit-notes": year | {"format": "CN-{year}-{:05d}"},
        "shipping-labels": {"minimum": 500_000, "maximum": 504_999, "format": "{:06d}"},
        "pallet-numbers": {"minimum": 1, "maximum": 9999, "cycle": True, "format": "P{:04d}"},
    }
    for name, definition in definitions.items():
        ok_json(writers[0].put(f"/sequences/{name}", json=definition))
    for _ in range(40):
        ok_json(rng.choice(writers).post("/sequences/invoices/next", json={"n": rng.choice((1, 1, 1, 2, 25))}))
    for name, count in (("credit-notes", 17), ("pallet-numbers", 412)):
        ok_json(writers[0].post(f"/sequences/{name}/next", json={"n": count}))
    for _ in range(5):
        ok_json(writers[1].post("/sequences/shipping-labels/next", json={"n": 940}))


def _event(name: str, payload: dict[str, Any]) -> dict[str, Any]:
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    return {
        "event": {"name": name, "version": 1},
        "system": {"id": "wms", "name": "Warehouse", "time": now, "timezone": "Europe/Berlin"},
        "trigger": {"type": "user", "name": "scanner-4"},
        "payload": payload,
    }


def _add_events(writer: Client, rng: random.Random) -> None:
    """Append shipments, and let consumers read some of them: one is up to date, one lags, one parks an event."""
    path, headers = f"{stream_path('shipments')}/events", {"X-Producer-ID": "warehouse"}
    for number in range(120):
        shipment = {
            "order": f"INV-2026-{number + 1:05d}",
            "parcels": rng.randint(1, 4),
            "carrier": rng.choice(_CARRIERS),
            "weight_kg": round(rng.uniform(0.4, 31), 2),
        }
        names = ("ShipmentPacked", "ShipmentHandedOver") if number % 3 else ("ShipmentPacked", "ShipmentDelayed")
        events = [_event(name, shipment) for name in names]
        response = writer.post(path, json=events, headers=headers)
        assert response.ok, response.text
    for consumer, count in (("billing", 120), ("tracking", 40)):
        _read(writer, path, consumer, count)
    reads = {"eventName": "ShipmentDelayed", "limit": 1}
    for _ in range(5):
        (event,) = ok_json(writer.get(path, params=reads, headers={"X-Consumer-ID": "notifications"}))
        form = {"action": "NACK", "delay": 0, "reason": "the customer has no e-mail address"}
        response = writer.post(f"{path}/{event['event']['id']}", data=form, headers={"X-Consumer-ID": "notifications"})
        assert response.ok, response.text


def _read(client: Client, path: str, consumer: str, count: int) -> None:
    headers = {"X-Consumer-ID": consumer}
    events = ok_json(client.get(path, params={"eventName": "ShipmentPacked", "limit": count}, headers=headers))
    form = {"action": "ACK", "upTo": 1}
    response = client.post(f"{path}/{events[-1]['event']['id']}", data=form, headers=headers)
    assert response.ok, response.text


def _add_orders(writer: Client) -> tuple[str, str]:
    """Import three files; return the IDs of the last import and of its request."""
    for file in (sample_file(10_000), orders_file(50_000, 20_000), orders_file(90_000, 300, has_bad_ids=True)):
        response = writer.put(f"{API}/import", data=file, headers=CSV)
        task_id: str = ok_json(response)["result"]["task_id"]
        eventually(partial(_is_imported, writer, task_id))
    return task_id, response.headers["X-Request-ID"]


def _is_imported(client: Client, task_id: str) -> bool:
    return bool(ok_json(client.get(f"{API}/import/status/{task_id}"))["result"]["status"] == "SUCCESS")


def _add_datasets(writer: Client) -> tuple[str, str]:
    """Upload datasets; return the path of one whose last flow succeeded, and of one whose last flow failed."""
    owner = Owner(writer)
    rows = [{"name": f"Wine {number}", "year": 2000 + number % 20} for number in range(300)]
    flows = [owner.upload("wine-list", rows=rows) for _ in range(3)]
    flows += [owner.upload("suppliers"), owner.upload("price-list", rows=[{"name": "Malbec", "year": "unknown"}])]
    for flow_id in flows:
        owner.wait_for_end(flow_id)
    return f"{owner.id}/wine-list", f"{owner.id}/price-list"


def _add_factories(admin: Client, rng: random.Random) -> str:
    """Create factories with 60 days of hourly production, and return the ID of the first."""
    end = int(datetime.datetime.now(datetime.UTC).timestamp()) // HOUR * HOUR
    ids = []
    for plant in _PLANTS:
        times = range(end - 60 * 24 * HOUR, end, HOUR)
        goal = rng.randrange(300, 900, 50)
        chart = {
            "time": list(times),
            "sprocket_production_goal": [goal] * len(times),
            "sprocket_production_actual": [_production(goal, time, rng) for time in times],
        }
        ids.append(ok_json(admin.post("/api/factories", json={"name": f"Plant {plant}", "chart_data": chart}))["id"])
    for teeth in (8, 12, 16, 24):
        ok_json(admin.post(f"/api/sprocket/create/{teeth}/{teeth * 3}/{teeth * 3 + 4}/{teeth // 4}/"))
    return str(ids[0])


def _production(goal: int, time: int, rng: random.Random) -> int:
    daily = math.sin(time % (24 * HOUR) / (24 * HOUR) * 2 * math.pi)
    outage = 0.5 if time // HOUR % 97 < 3 else 1.0
    return round(goal * outage * (1.03 + 0.05 * daily + rng.gauss(0, 0.02)))


def _add_dead_letter(stack: RunningStack) -> None:
    """Send a job that cannot be parsed, which its worker moves to the dead letters."""
    with pika.BlockingConnection(pika.URLParameters(stack.amqp_url)) as connection:
        properties = pika.BasicProperties(message_id="6e0c3c1e-8f6e-4a57-9a5e-2f8c1f0b7a11", delivery_mode=2)
        connection.channel().basic_publish(
            "", "specstore.refresh", b'{"flow": "mei/wine-list/1", "attempt": }', properties
        )
    client = Client(stack)
    eventually(lambda: ok_json(client.get("/dead-letters/specstore.refresh"))["dead_letters"])
    client.close()
