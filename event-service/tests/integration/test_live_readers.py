"""The metric of clients that wait for events."""

from concurrent.futures import ThreadPoolExecutor

from quintet_testing.waiting import eventually


def count(app, kind):
    return app.metrics.registry.get_sample_value("quintet_live_readers", {"kind": kind})


def test_waiting_reader_is_counted_until_it_receives_an_event(api, app):
    api.append_events(1, "Other")
    with ThreadPoolExecutor(1) as pool:
        reader = pool.submit(api.read, "New", wait=30)
        eventually(lambda: count(app, "long_poll") == 1)
        api.append_events(1, "New")
        assert len(reader.result(timeout=60).json) == 1
    assert count(app, "long_poll") == 0


def test_live_stream_is_counted_until_its_client_disconnects(api, app):
    api.append_events()
    response = api.client.get(f"{api.path}/live", query_string={"eventName": "*"}, headers={"Last-Event-ID": "0"})
    chunks = iter(response.response)
    assert b"retry" in next(chunks)
    assert b"OrderPlaced" in next(chunks)
    assert count(app, "sse") == 1
    response.close()
    assert count(app, "sse") == 0
