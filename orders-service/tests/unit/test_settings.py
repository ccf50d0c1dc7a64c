import pytest

from chassis.runtime.config import ConfigError
from orders_service.settings import Settings

URL = {"DATABASE_URL": "postgresql://user@127.0.0.1:1/database"}


def test_policy_follows_the_settings():
    variables = {"RULES_OFF": "email_state, zipcode_sum", "REFUSED_STATES": "TX,NY", "SMALLEST_AGE": "18"}
    policy = Settings.load({**URL, **variables}).policy
    assert {rule.name for rule in policy.rules} == {"allowed_state", "email_pattern", "zipcode_length", "allowed_age"}
    assert (policy.excluded_states, policy.min_age, policy.max_zipcode_sum) == (("TX", "NY"), 18, 20)


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
def test_error_names_the_invalid_variable(name, value):
    with pytest.raises(ConfigError, match=name):
        Settings.load({**URL, name: value})
