import pytest

from chassis.cli import Service, main
from chassis.runtime.config import WebSettings


@pytest.fixture
def calls():
    return []


@pytest.fixture
def service(calls):
    return Service(
        "probe", WebSettings, commands={"repair": lambda settings, arguments: calls.append((type(settings), arguments))}
    )


def test_command_of_a_service_receives_its_settings_and_the_remaining_arguments(service, calls):
    main(service, ["repair"])
    main(service, ["repair", "7", "8"])
    assert calls == [(WebSettings, []), (WebSettings, ["7", "8"])]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(["web", "7"], "web does not accept arguments"), (["unknown"], "invalid choice"), ([], "required: command")],
)
def test_invalid_command_line_is_rejected(service, calls, capsys, arguments, message):
    with pytest.raises(SystemExit):
        main(service, arguments)
    assert message in capsys.readouterr().err
    assert calls == []
