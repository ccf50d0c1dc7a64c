"""When a call is repeated, how long it waits, and which error ends it."""

import ssl
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime

import httpx
import pytest

from quintet import Conflict, InvalidInput, NotFound, OutcomeUnknown, RateLimited, ServerError, Unavailable
from quintet._retry import Attempts, Backoff, RetryPolicy, parse_retry_after


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def create_attempts(clock, *, total_seconds=60.0, **options):
    """Return attempts of a write whose delays are as long as they may be."""
    backoff = Backoff(RetryPolicy(total_seconds), clock=clock, jitter=lambda: 1.0)
    return Attempts(backoff, **{"request_id": "r-1", "is_read": False, **options})


def test_limit_of_the_delay_doubles_up_to_five_seconds(clock):
    backoff = Backoff(RetryPolicy(), clock=clock, jitter=lambda: 1.0)
    assert [backoff.next_delay() for _ in range(8)] == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5, 5])


def test_delay_is_any_part_of_its_limit(clock):
    parts = iter([0.0, 0.5, 0.25])
    backoff = Backoff(RetryPolicy(), clock=clock, jitter=lambda: next(parts))
    assert [backoff.next_delay() for _ in range(3)] == pytest.approx([0.0, 0.1, 0.1])


def test_delay_is_not_shorter_than_retry_after(clock):
    backoff = Backoff(RetryPolicy(), clock=clock, jitter=lambda: 0.5)
    assert backoff.next_delay(retry_after=3) == 3


def test_last_attempt_is_at_the_deadline(clock):
    backoff = Backoff(RetryPolicy(total_seconds=10, initial_seconds=4), clock=clock, jitter=lambda: 1.0)
    clock.now += 8
    assert backoff.next_delay() == pytest.approx(2)
    clock.now += 2
    assert backoff.next_delay() is None


def test_does_not_wait_for_a_retry_after_that_is_later_than_the_deadline(clock):
    backoff = Backoff(RetryPolicy(total_seconds=10), clock=clock)
    assert backoff.next_delay(retry_after=11) is None


def test_time_until_the_deadline_of_a_transfer_begins_with_its_first_failure(clock):
    backoff = Backoff(RetryPolicy(total_seconds=10), is_transfer=True, clock=clock)
    clock.now += 1000
    assert backoff.next_delay() is not None
    clock.now += 9
    assert backoff.next_delay() is not None
    clock.now += 1
    assert backoff.next_delay() is None


def test_policy_without_a_limit_repeats_indefinitely(clock):
    backoff = Backoff(RetryPolicy(total_seconds=None), clock=clock, jitter=lambda: 1.0)
    for _ in range(2000):
        clock.now += 1000
        assert 0 < backoff.next_delay() <= 5
    backoff.reset()
    assert backoff.next_delay() == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("7", 7),
        ("", 0),
        ("soon", 0),
        ("-1", 0),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
        ("1 Jan 99999999999999999999 00:00:00 GMT", 0),
    ],
)
def test_retry_after_is_seconds_or_a_date(value, seconds):
    assert parse_retry_after({"retry-after": value}) == seconds


@pytest.mark.parametrize("value", ["Fri, 01 Jan 2999 00:00:00 GMT", "9" * 400])
def test_retry_after_is_not_longer_than_what_can_be_slept(value):
    assert 1e5 < parse_retry_after({"retry-after": value}) < 1e9


def test_retry_after_may_be_a_future_date():
    moment = datetime.now(timezone.utc) + timedelta(seconds=100)
    assert 90 < parse_retry_after({"retry-after": format_datetime(moment, usegmt=True)}) <= 100


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_repeats_statuses_that_may_pass(clock, status):
    assert create_attempts(clock).after_response(status, {}, b"") == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("status", "error"), [(400, InvalidInput), (404, NotFound), (409, Conflict), (500, ServerError)]
)
def test_does_not_repeat_other_errors(clock, status, error):
    with pytest.raises(error) as raised:
        create_attempts(clock).after_response(status, {}, b"")
    assert (raised.value.status, raised.value.request_id) == (status, "r-1")


def test_repetition_is_logged_with_its_reason(clock, caplog):
    with caplog.at_level("INFO", logger="quintet"):
        create_attempts(clock).after_response(503, {}, b'{"detail": "the database is unreachable"}')
    assert caplog.messages == ["the database is unreachable; next attempt in 0.1 s, request r-1"]


def test_repeats_a_conflict_with_a_request_in_progress(clock):
    assert create_attempts(clock).after_response(409, {"retry-after": "1"}, b"") == 1


@pytest.mark.parametrize("status", [200, 201, 202, 204])
def test_success_ends_the_call(clock, status):
    assert create_attempts(clock).after_response(status, {}, b"") is None


def test_error_of_the_last_attempt_is_raised_at_the_deadline(clock):
    attempts = create_attempts(clock, total_seconds=5)
    attempts.after_response(503, {}, b"")
    clock.now += 5
    with pytest.raises(Unavailable) as raised:
        attempts.after_response(503, {}, b'{"detail": "the database is unreachable"}')
    assert type(raised.value) is Unavailable
    assert raised.value.detail == "the database is unreachable"
    with pytest.raises(RateLimited):
        attempts.after_response(429, {}, b"")


@pytest.mark.parametrize("failure", [httpx.ReadError("reset"), httpx.ReadTimeout(""), httpx.RemoteProtocolError("")])
def test_outcome_of_a_write_is_unknown_if_a_sent_request_had_no_response(clock, failure):
    attempts = create_attempts(clock, total_seconds=5)
    attempts.after_failure(failure)
    clock.now += 5
    with pytest.raises(OutcomeUnknown):
        attempts.after_response(503, {}, b"")


@pytest.mark.parametrize("status", [502, 504])
def test_outcome_of_a_write_is_unknown_if_the_connection_to_the_service_broke(clock, status):
    attempts = create_attempts(clock, total_seconds=0)
    with pytest.raises(OutcomeUnknown) as raised:
        attempts.after_response(status, {}, b"")
    assert raised.value.status == status


def test_outcome_is_known_if_the_request_was_never_sent(clock):
    attempts = create_attempts(clock, total_seconds=0)
    with pytest.raises(Unavailable) as raised:
        attempts.after_failure(httpx.ConnectError("refused"))
    assert type(raised.value) is Unavailable
    assert (raised.value.status, raised.value.request_id) == (None, "r-1")
    assert "refused" in str(raised.value)


def test_outcome_of_a_read_does_not_matter(clock):
    attempts = create_attempts(clock, total_seconds=0, is_read=True)
    with pytest.raises(Unavailable) as raised:
        attempts.after_failure(httpx.ReadError(""))
    assert type(raised.value) is Unavailable


def test_settled_status_is_success_only_after_an_attempt_that_may_have_been_applied(clock):
    attempts = create_attempts(clock, settled_statuses=[404])
    with pytest.raises(NotFound):
        attempts.after_response(404, {}, b"")
    attempts.after_response(503, {}, b"")
    with pytest.raises(NotFound):
        attempts.after_response(404, {}, b"")
    attempts.after_response(504, {}, b"")
    assert attempts.after_response(404, {}, b"") is None


def test_request_that_must_not_be_repeated_is_repeated_only_if_nothing_was_done(clock):
    attempts = create_attempts(clock, is_repeatable=False)
    attempts.after_response(503, {}, b"")
    attempts.after_failure(httpx.ConnectError(""))
    with pytest.raises(OutcomeUnknown):
        attempts.after_failure(httpx.ReadError(""))


def test_certificate_that_is_not_trusted_is_reported_immediately(clock):
    failure = httpx.ConnectError("certificate")
    failure.__cause__ = ssl.SSLCertVerificationError()
    with pytest.raises(Unavailable):
        create_attempts(clock).after_failure(failure)
