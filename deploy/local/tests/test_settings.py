"""Every variable of a service's Settings class can be set in .env or in the environment; unknown ones are reported."""

import pytest

from quintet_local import commands, gateway, services, settings
from quintet_local.layout import CHECKOUT, Layout
from quintet_local.progress import StackError
from quintet_local.stack import Stack

SERVICES = services.discover(CHECKOUT)


def program_environments(folder, **lines):
    layout = Layout(home=folder, env_file=folder / ".env")
    layout.create_folders()
    stack = Stack(layout)
    passwords = dict.fromkeys(settings.envfile.setting_names(SERVICES), "x")
    stack.__dict__["settings"] = passwords | {"GATEWAY_PORT": "1"} | lines
    stack.choose_ports()
    return {program.name: program.environment for program in stack.programs()}


@pytest.mark.parametrize(
    "service, name",
    [
        ("orders", "REFUSED_STATES"),
        ("orders", "SMALLEST_AGE"),
        ("orders", "RULES_OFF"),
        ("event", "NACK_LIMIT"),
        ("sequence", "POOL_SIZE"),
        ("specstore", "OWNER_BYTES"),
    ],
)
def test_setting_reaches_only_services_that_declare_it(folder, service, name):
    environments = program_environments(folder, **{name: "17"})
    for kind in ("web", "worker"):
        assert environments[f"{service}-{kind}"][name] == "17"
    declaring = {other for other in SERVICES if name in settings.variables(other)}
    receiving = {program.partition("-")[0] for program, variables in environments.items() if name in variables}
    assert receiving == declaring


def test_web_concurrency_applies_to_services_but_not_to_the_console(folder):
    environments = program_environments(folder, WEB_CONCURRENCY="8")
    assert environments["orders-web"]["WEB_CONCURRENCY"] == "8"
    assert environments["console"]["WEB_CONCURRENCY"] == "1"


def test_setting_in_the_environment_wins_over_env_file(folder, monkeypatch):
    file = folder / ".env"
    file.write_text("RATE_LIMITS=on\nPOOL_SIZE=7\nADMIN_PASSWORD=own\n")
    monkeypatch.setenv("RATE_LIMITS", "off")
    monkeypatch.setenv("REFUSED_STATES", "")
    loaded = settings.load(file, SERVICES)
    assert (loaded["RATE_LIMITS"], loaded["POOL_SIZE"], loaded["REFUSED_STATES"]) == ("off", "7", "")
    ports = {"GATEWAY_PORT": "1", "METRICS_PORT": "2"}
    configuration = gateway.Gateway(Layout(folder, file), loaded | ports, SERVICES).render()
    assert 'map "off $user_role"' in configuration


@pytest.mark.parametrize(
    "name",
    ["ADMIN_USER", "ADMIN_PASSWORD", "GATEWAY_PORT", "ORDERS_DB_PASSWORD", "RABBITMQ_ERLANG_COOKIE",
     "READ_DATABASE_URL", "S3_BUCKET", "S3_SECRET_ACCESS_KEY", "TLS_CERT", "DATABASE_URL", "BIND",
     "SERVICES", "STACK_ID", "PGPASSWORD"],
)  # fmt: skip
def test_settings_of_another_stack_are_not_read_from_the_environment(folder, monkeypatch, name):
    (folder / ".env").write_text("ADMIN_PASSWORD=own\n")
    monkeypatch.setenv(name, "foreign")
    assert "foreign" not in settings.load(folder / ".env", SERVICES).values()


def test_invalid_value_in_the_environment_is_rejected_before_anything_is_started(folder, monkeypatch):
    monkeypatch.setenv("POOL_SIZE", "many")
    with pytest.raises(StackError, match=r"(?s)settings of .*POOL_SIZE"):
        commands.ensure_settings(folder / ".env", SERVICES)


def test_unknown_variable_is_reported_with_the_nearest_one():
    assert settings.warnings({"SMALEST_AGE": "1"}, SERVICES) == [
        "SMALEST_AGE in .env is not a known setting: did you mean SMALLEST_AGE?"
    ]
    assert settings.warnings({"QQQQ": "1"}, SERVICES) == ["QQQQ in .env is not a known setting"]


def test_variable_set_by_the_stack_is_reported_to_have_no_effect():
    (warning,) = settings.warnings({"DATABASE_URL": "postgresql://elsewhere"}, SERVICES)
    assert "DATABASE_URL" in warning and "no effect" in warning


def test_generated_and_documented_variables_cause_no_warning():
    generated = settings.envfile.setting_names(SERVICES)
    documented = ["RATE_LIMIT_ADMIN", "POSTGRES_IMAGE", "GATEWAY_ADDRESS", "QUINTET_TAG", "COMPOSE_FILE", "LOG_LEVEL"]
    assert settings.warnings(dict.fromkeys([*generated, *documented], "x"), SERVICES) == []


def test_invalid_value_is_rejected():
    with pytest.raises(StackError, match=r"(?s)orders-service.*SMALLEST_AGE"):
        settings.validate({"SMALLEST_AGE": "young"}, SERVICES)
    with pytest.raises(StackError, match="RULES_OFF"):
        settings.validate({"RULES_OFF": "no_such_rule"}, SERVICES)


def test_settings_that_need_more_connections_than_postgres_accepts_are_rejected():
    settings.validate({}, SERVICES)
    settings.validate({"POOL_SIZE": "10"}, SERVICES)
    with pytest.raises(StackError, match=r"at most 190 connections to Postgres, but .* up to 3\d\d"):
        settings.validate({"POOL_SIZE": "10", "WEB_CONCURRENCY": "5"}, SERVICES)


@pytest.mark.parametrize("service", SERVICES)
def test_connections_are_counted_for_each_queue(service):
    handlers = CHECKOUT / f"{service}-service" / "src" / f"{service}_service" / "handlers.py"
    queues = handlers.read_text().count("ConsumerConfig(") if handlers.exists() else 0
    assert settings.settings_class(service).queue_count == queues


def test_secret_variables_are_those_without_a_representation():
    assert settings.secret_variables("specstore") == ["S3_ACCESS_KEY_ID", "S3_SECRET_ACCESS_KEY"]
    assert settings.secret_variables("orders") == []


def test_short_password_of_the_administrator_is_rejected(tmp_path):
    with pytest.raises(StackError, match="ADMIN_PASSWORD must have at least 20 characters"):
        gateway.set_administrator(
            {"ADMIN_USER": "admin", "ADMIN_PASSWORD": "x" * 19}, {"GATEWAY_USERS_DIR": str(tmp_path / "users")}
        )
