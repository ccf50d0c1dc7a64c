"""Publishers and consumers each store the contracts of their messages, and the two agree."""

import importlib

import jsonschema_rs
import pytest

from quintet_e2e.checkout import Service, all_services

# Contract of event-service, whose queue receives every event of every service.
ANY_EVENT = "AnyEvent"


def validator(schema):
    return jsonschema_rs.validator_for(schema)


def contracts(direction):
    """Return the contracts of all services, by service and name."""
    return {
        (service.name, name): schema
        for service in all_services()
        for name, schema in service.contracts(direction).items()
    }


PUBLISHED, CONSUMED = contracts("publishes"), contracts("consumes")


def message_name(contract):
    """Return the name of the event or job without version: `OrderPlaced` for `OrderPlaced.v1`."""
    return contract.rpartition(".v")[0]


def consumes(consumed, published):
    """Return whether the consumed contract describes the published one; names of jobs contain a dot."""
    if message_name(consumed) == ANY_EVENT:
        return "." not in message_name(published)
    return message_name(consumed) == message_name(published)


@pytest.mark.parametrize(("publisher", "name"), list(PUBLISHED))
def test_examples_of_published_contract_are_valid(publisher, name):
    schema = PUBLISHED[publisher, name]
    assert schema["examples"]
    for example in schema["examples"]:
        validator(schema).validate(example)
    assert message_name(name) == schema["title"]


@pytest.mark.parametrize(("consumer", "name"), list(CONSUMED))
def test_consumed_contract_accepts_examples_of_its_publishers(consumer, name):
    published = [schema for (_, published_name), schema in PUBLISHED.items() if consumes(name, published_name)]
    assert published, f"{name} has no publisher"
    for example in (example for schema in published for example in schema["examples"]):
        validator(CONSUMED[consumer, name]).validate(example)


def test_service_with_handlers_declares_consumed_contracts(service):
    queues = handlers_of(service)
    assert bool(queues) == bool(service.contracts("consumes"))
    for queue in queues:
        assert queue.startswith(f"{service.name}.")


def test_stream_of_every_service_is_reserved(service_names):
    """The queue of the worker that fills these streams is bound to the events of all other services."""
    settings = Service("event").default_settings()
    assert sorted(settings.reserved_streams.split(",")) == sorted(service_names)
    (consumer_config,) = handlers_of(Service("event")).values()
    assert {key.partition(".")[0] for key in consumer_config.bindings} == set(service_names) - {"event"}


def handlers_of(service):
    if not list(service.source.glob("handlers*")):
        return {}
    handlers = importlib.import_module(f"{service.package}.handlers")
    if hasattr(handlers, "handlers_for"):
        return handlers.handlers_for(service.default_settings())
    return handlers.HANDLERS
