"""Whatever a service's Settings class knows can be set in .env, and what nobody knows is told."""

import pytest

from quintet_local import services, settings
from quintet_local.layout import CHECKOUT, Layout
from quintet_local.progress import StackError
from quintet_local.stack import Stack

WORDS = services.discover(CHECKOUT)


def environments_of(folder, **lines):
    layout = Layout(home=folder, env_file=folder / ".env")
    layout.make()
    stack = Stack(layout)
    passwords = dict.fromkeys(settings.envfile.names(WORDS), "x")
    stack.__dict__["settings"] = passwords | {"GATEWAY_PORT": "1"} | lines
    stack.choose_ports()
    return {program.name: program.environment for program in stack.programs()}


@pytest.mark.parametrize(
    "word, name",
    [
        ("orders", "REFUSED_STATES"),
        ("orders", "SMALLEST_AGE"),
        ("orders", "RULES_OFF"),
        ("event", "NACK_LIMIT"),
        ("sequence", "POOL_SIZE"),
        ("specstore", "OWNER_BYTES"),
    ],
)
def test_a_setting_of_a_service_reaches_it_and_no_other(folder, word, name):
    environments = environments_of(folder, **{name: "17"})
    for kind in ("web", "worker"):
        assert environments[f"{word}-{kind}"][name] == "17"
    knows = {each for each in WORDS if name in settings.variables(each)}
    assert {program.partition("-")[0] for program, told in environments.items() if name in told} == knows


def test_more_web_processes_are_for_the_services_and_not_for_the_console(folder):
    told = environments_of(folder, WEB_CONCURRENCY="8")
    assert told["orders-web"]["WEB_CONCURRENCY"] == "8"
    assert told["console"]["WEB_CONCURRENCY"] == "1"


def test_an_unknown_name_is_told_with_the_nearest_known_one():
    assert settings.warnings({"SMALEST_AGE": "1"}, WORDS) == [
        "SMALEST_AGE in .env is not known: is SMALLEST_AGE meant?"
    ]
    assert settings.warnings({"QQQQ": "1"}, WORDS) == ["QQQQ in .env is not known"]


def test_what_the_stack_sets_itself_is_told_to_have_no_effect():
    (warning,) = settings.warnings({"DATABASE_URL": "postgresql://elsewhere"}, WORDS)
    assert "DATABASE_URL" in warning and "no effect" in warning


def test_what_a_stack_may_hold_is_known():
    own = settings.envfile.names(WORDS)
    documented = ["RATE_LIMIT_ADMIN", "POSTGRES_IMAGE", "GATEWAY_ADDRESS", "QUINTET_TAG", "COMPOSE_FILE", "LOG_LEVEL"]
    assert settings.warnings(dict.fromkeys([*own, *documented], "x"), WORDS) == []


def test_a_wrong_value_is_told_before_anything_starts():
    with pytest.raises(StackError, match=r"(?s)orders-service.*SMALLEST_AGE"):
        settings.check({"SMALLEST_AGE": "young"}, WORDS)
    with pytest.raises(StackError, match="RULES_OFF"):
        settings.check({"RULES_OFF": "no_such_rule"}, WORDS)


def test_secrets_are_told_apart():
    assert settings.secret_variables("specstore") == ["S3_ACCESS_KEY_ID", "S3_SECRET_ACCESS_KEY"]
    assert settings.secret_variables("orders") == []
