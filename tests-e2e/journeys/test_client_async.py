"""The asynchronous client does the main job of each service, and many things at the same time."""

import asyncio
import io
import secrets

import pytest

from quintet import AsyncQuintet, NotFound
from quintet_e2e import orders, specs
from quintet_e2e.stacks import ON_ONE_STACK

pytestmark = ON_ONE_STACK


@pytest.fixture
def run(stack):
    """Return a function that runs `use(client)`, a coroutine function, with a new client."""

    def run(use):
        async def run_with_client():
            async with AsyncQuintet(stack.client_url()) as client:
                return await use(client)

        return asyncio.run(asyncio.wait_for(run_with_client(), 120))

    return run


def test_concurrent_calls_receive_distinct_numbers(run):
    name = f"client-{secrets.token_hex(4)}"

    async def use(client):
        await client.sequences.create(name)
        issued = await asyncio.gather(*(client.sequences.next(name) for _ in range(200)))
        assert sorted(result.numbers[0] for result in issued) == [*range(1, 201)]
        assert name in [sequence.name async for sequence in client.sequences.list()]
        with pytest.raises(NotFound):
            await client.sequences.get(f"{name}-unknown")

    run(use)


def test_events_are_appended_followed_and_consumed(run):
    async def use(client):
        stream = client.streams(f"client-{secrets.token_hex(4)}")

        async def follow():
            return [event.payload["n"] async for event in take(stream.follow("A", after=0), 50)]

        async def consume():
            received = []
            async with stream.consume("reader", "A") as events:
                async for event in events:
                    received.append(event.payload["n"])
                    if len(received) == 50:
                        await event.acknowledge()
                        return received
            return None

        await stream.append("A", {"n": 0})
        readers = asyncio.gather(follow(), consume())
        for n in range(1, 50):
            await stream.append("A", {"n": n})
        assert await readers == [[*range(50)], [*range(50)]]
        assert [state.lag async for state in stream.consumers()] == [0]

    run(use)


async def take(items, count):
    """Yield the first items, and close their generator."""
    try:
        async for item in items:
            yield item
            if (count := count - 1) == 0:
                return
    finally:
        await items.aclose()


def test_exception_refuses_and_cancellation_does_not(run):
    async def use(client):
        stream = client.streams(f"client-{secrets.token_hex(4)}")
        await stream.append("A", {})

        async def consume(consumer, error):
            async with stream.consume(consumer, "A") as events:
                async for _ in events:
                    raise error

        with pytest.raises(ZeroDivisionError):
            await consume("failing", ZeroDivisionError("no"))
        with pytest.raises(asyncio.CancelledError):
            await consume("cancelled", asyncio.CancelledError())
        assert [(state.consumer, state.stuck.reason) async for state in stream.consumers()] == [("failing", "no")]

    run(use)


def test_cancelled_consumer_stops_waiting(run):
    async def use(client):
        stream = client.streams(f"client-{secrets.token_hex(4)}")
        await stream.append("A", {})

        async def wait_for_event():
            async with stream.consume("waiting", "B") as events:
                async for _ in events:
                    pass

        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(wait_for_event(), 0.5)

    run(use)


def test_files_are_uploaded_and_downloaded(run, tmp_path):
    async def use(client):
        file = io.BytesIO(orders.orders_file(orders.first_unused_id(), 5))
        task = await client.orders.upload(file)
        status = await task.wait()
        assert status.current == 5
        await task.save_errors(tmp_path / "errors.csv")
        assert len((tmp_path / "errors.csv").read_bytes().splitlines()) == 1 + status.invalid
        resource = {"name": "reds", "data": specs.ROWS, "schema": {"fields": specs.FIELDS}}
        parameters = {"descriptor": {"name": "wines", "resources": [resource]}}
        inputs = [{"kind": "datapackage", "url": "datapackage.json", "parameters": parameters}]
        meta = {"dataset": f"client-{secrets.token_hex(4)}", "version": 1, "findability": "private"}
        flow = await (await client.datasets.upload({"meta": meta, "inputs": inputs})).wait()
        assert tmp_path / "reds.csv" in await flow.download(tmp_path)

    run(use)


def test_production_is_recorded(run):
    async def use(client):
        factory = await client.factories.create("Plant", [(0, 1, 2)])
        assert await factory.record([(60, 3, 4)]) == 1
        while len(chart := await factory.chart()) < 2:
            await asyncio.sleep(0.05)
        assert (chart.seconds, chart.actual, chart.goal) == ([0, 60], [1, 3], [2, 4])
        await factory.delete()

    run(use)
