"""HTTP calls to the services."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import requests

from chassis.runtime import http_client


def fetch_reports(
    urls: Mapping[str, str], path: str, headers: Mapping[str, str], timeout_seconds: float
) -> dict[str, dict[str, Any]]:
    """Return the report of each service at `path`, requested in parallel; `urls` maps services to addresses."""
    with ThreadPoolExecutor(len(urls)) as pool:
        reports = pool.map(lambda service: fetch_report(service, urls[service], path, headers, timeout_seconds), urls)
        return dict(zip(urls, reports, strict=True))


def fetch_report(
    service: str, url: str, path: str, headers: Mapping[str, str], timeout_seconds: float
) -> dict[str, Any]:
    """Return the report of one service: an object with a `status`.

    A service that is unreachable, too slow, or returns anything else is reported as DOWN.
    """
    try:
        response = http_client.request("GET", url, path, headers=headers, timeout=timeout_seconds)
        report = response.json()
    except requests.ConnectionError:
        return {"status": "DOWN", "service": service, "error": "unreachable"}
    except requests.Timeout:
        return {"status": "DOWN", "service": service, "error": f"no response within {timeout_seconds:g} s"}
    except (requests.RequestException, ValueError):
        return {"status": "DOWN", "service": service, "error": "the response is not a report"}
    if isinstance(report, dict) and isinstance(report.get("status"), str):
        return report
    return {"status": "DOWN", "service": service, "error": f"responded with {response.status_code} and no report"}
