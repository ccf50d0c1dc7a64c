"""What one service says to another is written down on both sides, and the two agree."""

import importlib

import jsonschema_rs
import pytest

from quintet_e2e.checkout import Service, all_services

# Its consumer takes whatever any service publishes.
ANY_EVENT = "AnyEvent"


def validator(schema):
    return jsonschema_rs.validator_for(schema)


def contracts(side):
    """By service and name."""
    return {
        (service.word, name): schema for service in all_services() for name, schema in service.contracts(side).items()
    }


PUBLISHED, CONSUMED = contracts("publishes"), contracts("consumes")


def kind(contract):
    """`OrderPlaced.v1`: an event's name, or a job's, which has a dot itself."""
    return contract.rpartition(".v")[0]


def takes(consumer, publisher):
    if kind(consumer) == ANY_EVENT:
        return "." not in kind(publisher)
    return kind(consumer) == kind(publisher)


@pytest.mark.parametrize(("publisher", "name"), list(PUBLISHED))
def test_a_published_contract_has_examples_that_keep_it(publisher, name):
    schema = PUBLISHED[publisher, name]
    assert schema["examples"]
    for example in schema["examples"]:
        validator(schema).validate(example)
    assert kind(name) == schema["title"]


@pytest.mark.parametrize(("consumer", "name"), list(CONSUMED))
def test_what_is_consumed_has_a_publisher_and_its_examples_are_accepted(consumer, name):
    published = [schema for (_, other), schema in PUBLISHED.items() if takes(name, other)]
    assert published, f"nobody publishes {name}"
    for example in (example for schema in published for example in schema["examples"]):
        validator(CONSUMED[consumer, name]).validate(example)


def test_who_consumes_says_what(service):
    queues = handlers_of(service)
    assert bool(queues) == bool(service.contracts("consumes"))
    for queue in queues:
        assert queue.startswith(f"{service.word}.")


def test_the_stream_of_every_service_is_reserved(words):
    """The worker that fills these streams is bound to what the other services publish."""
    settings = Service("event").settings_by_default()
    assert sorted(settings.reserved_streams.split(",")) == sorted(words)
    (consumption,) = handlers_of(Service("event")).values()
    assert {key.partition(".")[0] for key in consumption.bindings} == set(words) - {"event"}


def handlers_of(service):
    if not list(service.source.glob("handlers*")):
        return {}
    handlers = importlib.import_module(f"{service.package}.handlers")
    if hasattr(handlers, "handlers_for"):
        return handlers.handlers_for(service.settings_by_default())
    return handlers.HANDLERS
