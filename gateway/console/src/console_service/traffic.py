"""The requests of a service in the last minutes, from what each of its replicas reports."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Minute:
    # Unix seconds of its beginning.
    time: int
    errors: int
    # The number of requests per range of duration; the upper limits of all ranges but the last are in `Traffic`.
    counts: Sequence[int]

    @property
    def requests(self) -> int:
        return sum(self.counts)

    @property
    def requests_per_second(self) -> float:
        return self.requests / 60


@dataclass(frozen=True)
class Traffic:
    bounds_seconds: Sequence[float]
    # Oldest first.
    minutes: Sequence[Minute]

    @property
    def requests_per_second(self) -> float:
        return sum(minute.requests_per_second for minute in self.minutes) / max(1, len(self.minutes))

    @property
    def errors(self) -> int:
        return sum(minute.errors for minute in self.minutes)

    def latency_ms(self, share: float) -> float | None:
        """Return the time within which this share of the requests was handled; None if there were none."""
        counts = [sum(column) for column in zip(*(minute.counts for minute in self.minutes), strict=True)]
        return quantile_ms(self.bounds_seconds, counts, share)

    def latencies_ms(self, share: float) -> list[float]:
        """Return the same per minute, 0 for one without requests."""
        return [self.minute_latency_ms(minute, share) or 0 for minute in self.minutes]

    def minute_latency_ms(self, minute: Minute, share: float) -> float | None:
        return quantile_ms(self.bounds_seconds, minute.counts, share)


def combine(reports: Iterable[dict[str, Any]]) -> Traffic:
    """Add the reports of all replicas, which may begin and end with different minutes."""
    bounds: Sequence[float] = ()
    minutes: dict[int, Minute] = {}
    for report in reports:
        bounds = report["bounds_seconds"]
        for values in report["minutes"]:
            minute = Minute(**values)
            if other := minutes.get(minute.time):
                counts = [a + b for a, b in zip(minute.counts, other.counts, strict=True)]
                minute = Minute(minute.time, minute.errors + other.errors, counts)
            minutes[minute.time] = minute
    return Traffic(bounds, [minutes[time] for time in sorted(minutes)])


def quantile_ms(bounds_seconds: Sequence[float], counts: Sequence[int], share: float) -> float | None:
    """Return the duration of which `share` of the requests are below, as if those of a range were spread evenly.

    The last range has no upper limit; its lower limit is returned. None if there are no requests.
    """
    rank = share * sum(counts)
    if not rank:
        return None
    lower = 0.0
    for bound, count in zip(bounds_seconds, counts, strict=False):
        if rank <= count:
            return round(1000 * (lower + (bound - lower) * rank / count), 3)
        lower, rank = bound, rank - count
    return 1000 * lower
