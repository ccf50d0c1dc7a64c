"""A client that is generated from each OpenAPI document calls every operation once, with the examples as bodies."""

import functools
import secrets

import pytest

from quintet_e2e.generated_clients import GeneratedClient, generate
from quintet_e2e.stacks import ON_ONE_STACK
from quintet_testing.waiting import eventually

pytestmark = [pytest.mark.slow, ON_ONE_STACK]

EVENT_NAME = "Webshop order was placed"


@pytest.fixture(scope="module")
def generate_once(tmp_path_factory):
    """Return a function that generates the package of a document."""
    folder = tmp_path_factory.mktemp("generated")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        yield functools.cache(lambda name: generate(name, folder))


@pytest.fixture
def create_client(generate_once, stack):
    """Return a function that creates the client of a document."""
    clients = []

    def create_client(name):
        clients.append(GeneratedClient(name, generate_once(name), stack))
        return clients[-1]

    yield create_client
    for client in clients:
        client.close()


def test_client_of_sequences(create_client):
    client, name = create_client("sequence"), f"generated-{secrets.token_hex(4)}"
    for built_in in ("sequence", "batch_sequence", "image_sequence", "json_sequence"):
        assert len(client.call(f"issue_from_{built_in}", n=2)["sequence_list"]) == 2
    assert client.call("create_sequence", name=name)["next"] == 1
    assert client.call("get_sequence", name=name)["name"] == name
    assert client.call("issue_numbers", name=name)["sequence_list"] == [1, 2]
    assert client.call("list_issued_numbers", name=name, number=2)["total"] == 1
    assert client.call("update_sequence", name=name)["next"] == 5000
    assert client.call("list_sequences", limit=1)["total"] >= 5
    client.call("delete_sequence", name=name)
    assert client.uncalled == set()


def test_client_of_events(create_client):
    client, stream = create_client("event"), f"generated-{secrets.token_hex(4)}"
    request_id = secrets.token_hex(8)
    event = client.call("append_events", stream=stream, x_producer_id="generated", x_request_id=request_id)
    assert client.call("get_stream", stream=stream)["position"] == 1
    assert client.call("list_streams", prefix=stream)["total"] == 1
    assert client.call("get_event", stream=stream, event=event)["position"] == 1
    assert client.call("find_event", event=event)["stream"] == stream
    assert client.call("list_events_of_request", request_id=request_id)["total"] == 1
    assert client.call("list_newest_events", limit=1)["total"] >= 1
    assert client.first_line("follow_stream", stream=stream, event_name="*", last_event_id_header="0") == "retry: 1000"
    reader = {"stream": stream, "x_consumer_id": "billing"}
    assert client.call("read_events", limit=10, event_name=EVENT_NAME, **reader)[0]["event"]["id"] == event
    assert client.call("acknowledge_event", event=event, **reader) == "OK"
    consumer = {"stream": stream, "consumer": "billing"}
    assert client.call("list_consumers", stream=stream)["consumers"][0]["offset"] == 1
    assert client.call("set_offset", **consumer) == "OK"
    park(client, event, reader)
    assert client.call("list_parked_events", **consumer)["total"] == 1
    assert client.call("replay_parked_event", event=event, **consumer) == "OK"
    assert client.call("replay_parked_events", **consumer) == "OK"
    client.call("delete_consumer", **consumer)
    schema = {"stream": stream, "name": EVENT_NAME, "version": 1}
    assert client.call("set_schema", **schema) == "OK"
    assert client.call("get_schema", **schema)["required"] == ["order"]
    assert client.call("list_schemas", stream=stream)["total"] == 1
    client.call("delete_schema", **schema)
    assert client.call("set_retention", stream=stream) == "OK"
    assert client.call("get_retention", stream=stream)["max_age_days"] == 90
    client.call("delete_retention", stream=stream)
    client.call("erase_event", stream=stream, event=event)
    assert client.uncalled == set()


def park(client, event, reader):
    """Send as many NACKs as it takes to park the event."""
    for _ in range(5):
        client.call("acknowledge_event", body={"action": "NACK", "delay": 0}, event=event, **reader)


def test_client_of_orders(create_client):
    client = create_client("orders")
    for operation in ("import_orders", "import_orders_with_put"):
        task = client.call(operation, idempotency_key=secrets.token_hex(8))["result"]["task_id"]
        eventually(lambda task=task: status_of(client, task)["status"] == "SUCCESS", 60)
    status = status_of(client, task)
    assert status["current"] == status["duplicates"] == 1
    assert client.call("list_imports", limit=1)["total"] >= 2
    assert client.call("get_order", order_id="4711")["result"]["name"] == "Ann"
    assert client.call("list_orders", after=4710, limit=1)["result"][0]["id"] == 4711
    assert b"\r\n4711,Ann" in client.call("export_orders", name="Ann")
    assert client.call("list_import_errors", task_id=task)["result"][0]["line"] == 2
    assert b"4711|Ann" in client.call("download_import_errors", task_id=task)
    client.call("delete_order", order_id="4711")
    assert client.call("undo_import", task_id=task)["result"]["task_id"] == task
    cancel_new_import(client)
    assert b"</html>" in client.call("show_orders_page")
    assert b"{" in client.call("get_page_file", file="page.css")
    assert client.uncalled == set()


def cancel_new_import(client):
    """Cancel an import that lasts for seconds."""
    lines = ["id|name|email|state|zipcode|birthday"]
    lines += [f"{number}|Ann|ann@example.com|NY|10001|Feb 27, 1963" for number in range(10_000, 300_000)]
    task = client.call("import_orders", "\n".join(lines), dry_run=True)["result"]["task_id"]
    assert client.call("cancel_import", task_id=task)["result"]["task_id"] == task
    eventually(lambda: status_of(client, task)["status"] == "FAILURE", 60)


def status_of(client, task):
    return client.call("get_import", task_id=task)["result"]


def test_client_of_specs(create_client):
    client = create_client("specstore")
    token = client.call("issue_token")["token"]
    assert b"PUBLIC KEY" in client.call("get_public_key")
    client.set_header("Auth-Token", token)
    assert client.call("plan_spec")["pipelines"]
    revision = dict(
        zip(("owner", "dataset", "revision"), client.call("upload_spec")["flow_id"].split("/"), strict=True)
    )
    eventually(lambda: state_of(client, revision) == "SUCCEEDED", 120)
    assert client.call("update_pipeline")["success"] == "success"
    assert client.call("download_output", file="reds.csv", **revision).startswith(b"name,year")
    assert client.call("list_revisions", owner=revision["owner"], dataset=revision["dataset"])["total"] >= 1
    assert client.call("list_datasets_of_owner", owner=revision["owner"])["total"] >= 1
    assert client.call("list_datasets")["total"] >= 1
    assert client.call("list_pipelines")["total"] >= 0
    assert client.call("cancel_flow", **revision)["cancelled"] == 0
    retried = client.call("retry_flow", **revision)["flow_id"].rpartition("/")[2]
    eventually(lambda: state_of(client, revision | {"revision": retried}) == "SUCCEEDED", 120)
    file = {"owner": revision["owner"], "path": "generated.csv"}
    assert client.call("upload_file", **file)["bytes"] > 0
    client.call("delete_file", **file)
    assert client.uncalled == set()


def state_of(client, revision):
    return client.call("get_flow", **revision)["state"]


def test_client_of_factories(create_client):
    client = create_client("factory")
    id_ = client.call("create_factory")["id"]
    assert client.call("list_factories", limit=1, newest=1)["count"] >= 1
    for operation in ("get_factory", "get_chart_data", "get_production_actual", "get_production_goal", "get_times"):
        assert client.call(operation, id=id_, points=100)
    assert client.call("submit_production", id=id_)["accepted"] == 1
    eventually(lambda: count_points(client, id_) == 3)
    assert len(client.call("get_attainment", id=id_, bucket="1h")["buckets"]) == 1
    assert client.call("download_points", id=id_).count(b"\n") == 4
    client.call("delete_factory", id=id_)
    delete_loaded_factories(client)
    numbers = {"teeth": 5, "pitch_diameter": 5, "outside_diameter": 6, "pitch": 1}
    sprocket = client.call("create_sprocket")["sprocket"]["id"]
    assert client.call("get_sprocket", id=sprocket)["sprocket"]["id"] == sprocket
    assert client.call("update_sprocket", id=sprocket)["sprocket"]["pitch"] == 2
    for operation in ("update_sprocket_by_path", "update_sprocket_by_path_with_put"):
        assert client.call(operation, id=sprocket, **numbers)["sprocket"]["pitch"] == 1
    assert client.call("create_sprocket_by_path", **numbers)["sprocket"]["id"] > sprocket
    assert client.call("list_sprockets")["count"] >= 2
    client.call("delete_sprocket", id=sprocket)
    assert client.uncalled == set()


def delete_loaded_factories(client):
    """Load a file and delete the factories that it contains."""
    before = ids_of_factories(client)
    load = client.call("load_file")["id"]
    eventually(lambda: client.call("get_load", load=load)["status"] == "SUCCESS")
    for id_ in ids_of_factories(client) - before:
        client.call("delete_factory", id=id_)


def ids_of_factories(client):
    return {factory["id"] for factory in client.call("list_factories", limit=1000, newest=1)["factories"]}


def count_points(client, id_):
    return len(client.call("get_times", id=id_)["time"])


def test_client_of_console(create_client):
    client = create_client("console")
    assert client.call("get_liveness") == client.call("get_readiness") == {"status": "OK"}
    assert client.call("get_health")["status"] == "OK"
    assert client.call("get_service_health", service="orders-service")["service"] == "orders-service"
    assert client.call("get_invariants")["status"] == "OK"
    assert client.call("get_trace", request_id=secrets.token_hex(8))["entries"] == []
    assert "orders.import" in [queue["name"] for queue in client.call("list_dead_letter_queues")["queues"]]
    assert client.call("list_dead_letters", queue="orders.import")["dead_letters"] == []
    assert client.call("requeue_dead_letters", queue="orders.import") == {"count": 0}
    assert client.call("delete_dead_letters", queue="orders.import") == {"count": 0}
    assert client.uncalled == set()
