import pytest

from chassis.runtime.config import ConfigError
from orders_service.settings import Settings

URL = {"DATABASE_URL": "postgresql://nobody@127.0.0.1:1/nothing"}


def test_the_policy_is_what_is_set():
    given = {"RULES_OFF": "email_state, zipcode_sum", "REFUSED_STATES": "TX,NY", "SMALLEST_AGE": "18"}
    policy = Settings.load({**URL, **given}).policy
    assert {rule.name for rule in policy.rules} == {"allowed_state", "email_pattern", "zipcode_length", "allowed_age"}
    assert (policy.refused_states, policy.smallest_age, policy.largest_zipcode_sum) == (("TX", "NY"), 18, 20)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("RULES_OFF", "no_such_rule"),
        ("REFUSED_STATES", "New York"),
        ("SMALLEST_AGE", "old"),
        ("SEQUENCE_URL", "ftp://x"),
        ("UPLOAD_MIN_BYTES_PER_SECOND", "-1"),
        ("UPLOAD_MAX_SECONDS", "0"),
    ],
)
def test_what_is_wrong_is_named(name, value):
    with pytest.raises(ConfigError, match=name):
        Settings.load({**URL, name: value})
