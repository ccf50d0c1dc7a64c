"""The description of a panel, and queries that several panels have in common."""

from dataclasses import dataclass

_SELECTED_SERVICES = 'service=~"$service"'


@dataclass(frozen=True)
class Panel:
    """A chart: its queries with the legend of each, and the unit of its values as Grafana names it."""

    title: str
    description: str
    unit: str
    queries: dict[str, str]


def select(metric: str, *matchers: str) -> str:
    """Return the selector of a metric of the services that are chosen at the top of the dashboard."""
    return f"{metric}{{{', '.join([_SELECTED_SERVICES, *matchers])}}}"


def total(metric: str, *labels: str) -> str:
    """Return the query of a value that each process reports for itself."""
    return f"sum by ({', '.join(labels)}) ({select(metric)})"


def state(gauge: str, *labels: str) -> str:
    """Return the query of a value that all workers of a service report equally."""
    return f"max by ({', '.join(labels)}) ({select(gauge)})"


def rate(counter: str, *labels: str) -> str:
    """Return the query of increments per second, of all processes together."""
    return f"sum by ({', '.join(labels)}) (rate({select(counter)}[$__rate_interval]))"


def quantile(share: float, histogram: str, *labels: str) -> str:
    return f"histogram_quantile({share}, {rate(f'{histogram}_bucket', *labels, 'le')})"
