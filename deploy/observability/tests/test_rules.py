"""The rules and alerts of Prometheus: their syntax, when each alert fires, and where its runbook is."""

import re

import pytest
import yaml

from chassis.messaging.relay import LOCK_NAMESPACE
from quintet_e2e.checkout import CHECKOUT, all_services
from quintet_e2e.prometheus import FOLDER, promtool, rules

RULE_FILES = sorted((FOLDER / "rules").glob("*.yml"))
UNIT_TESTS = FOLDER / "tests" / "alerts.test.yml"
ALERTS = [rule for rule in rules() if "alert" in rule]


def alert_names():
    return [alert["alert"] for alert in ALERTS]


def test_configuration_and_rules_are_valid():
    result = promtool("check", "config", "--syntax-only", FOLDER / "prometheus.yml")
    assert result.returncode == 0, result.stdout + result.stderr
    result = promtool("check", "rules", *RULE_FILES)
    assert result.returncode == 0, result.stdout + result.stderr


def test_alerts_fire_when_they_should_and_only_then():
    result = promtool("test", "rules", UNIT_TESTS)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize("name", alert_names())
def test_each_alert_is_tested_firing_and_silent(name):
    checks = [
        check
        for test in yaml.safe_load(UNIT_TESTS.read_text())["tests"]
        for check in test["alert_rule_test"]
        if check["alertname"] == name
    ]
    assert {bool(check.get("exp_alerts")) for check in checks} == {True, False}


@pytest.mark.slow
def test_unit_tests_detect_a_wrong_threshold(tmp_path):
    """The unit tests are themselves tested: without its condition, each alert would make them fail."""
    for folder in ("rules", "tests"):
        (tmp_path / folder).mkdir()
    (tmp_path / "tests" / UNIT_TESTS.name).write_text(UNIT_TESTS.read_text())
    for file in RULE_FILES:
        (tmp_path / "rules" / file.name).write_text(file.read_text())
    text = (FOLDER / "rules" / "alerts.yml").read_text()
    for threshold in (*re.findall(r" (?:[><]|==) [\d.]+(?=\n)", text), *set(re.findall(r"\n +for: \w+", text))):
        (tmp_path / "rules" / "alerts.yml").write_text(text.replace(threshold, ""))
        assert promtool("test", "rules", tmp_path / "tests" / UNIT_TESTS.name).returncode == 1, threshold


@pytest.mark.parametrize("alert", ALERTS, ids=alert_names())
def test_each_alert_has_a_section_in_the_runbook(alert):
    document, _, anchor = alert["annotations"]["runbook_url"].partition("#")
    assert anchor == alert["alert"].lower()
    headings = re.findall(r"^## (\w+)$", (CHECKOUT / document).read_text(), re.MULTILINE)
    assert alert["alert"] in headings


def test_runbook_describes_only_existing_alerts():
    headings = re.findall(r"^## (\w+)$", (CHECKOUT / "docs" / "runbook.md").read_text(), re.MULTILINE)
    assert sorted(headings) == sorted(alert_names())


def test_runbook_selects_the_lock_of_the_relay():
    assert f"classid = {LOCK_NAMESPACE}`" in (CHECKOUT / "docs" / "runbook.md").read_text()


def test_routes_that_rules_omit_exist():
    """A renamed route would silently be included in the latency again."""
    routes = {rule.rule for service in all_services() for rule in service.app().url_map.iter_rules()}
    text = (FOLDER / "rules" / "requests.yml").read_text()
    patterns = {pattern for value in re.findall(r'route!?[=~]{1,2}"([^"]+)"', text) for pattern in value.split("|")}
    assert len(patterns) > 8
    assert {pattern for pattern in patterns if not any(re.fullmatch(pattern, route) for route in routes)} == set()
