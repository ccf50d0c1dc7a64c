"""Test reports can be sent from one process of pytest-xdist to another, regardless of the text in them."""

import execnet
import pytest


def test_report_with_lone_surrogates_can_be_sent(request: pytest.FixtureRequest) -> None:
    report = pytest.TestReport(
        "test_x.py::test_x",
        location=("test_x.py", 1, "test_x"),
        keywords={},
        outcome="skipped",
        longrepr=("test_x.py", 1, "reason \ud800"),  # type: ignore[arg-type]
        when="call",
        sections=[("Captured stdout call", "printed \udcff")],
    )
    hook = request.config.hook
    data = execnet.loads(execnet.dumps(hook.pytest_report_to_serializable(config=request.config, report=report)))
    received = hook.pytest_report_from_serializable(config=request.config, data=data)
    assert received.longrepr == ("test_x.py", 1, "reason \\ud800")
    assert received.sections == [("Captured stdout call", "printed \\udcff")]
