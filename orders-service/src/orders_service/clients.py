"""sequence-service over HTTP."""

import requests

from chassis.runtime import http_client, logs

log = logs.logger(__name__)

_PATH = "/sequences/batch-sequence/next"
_TIMEOUT_SECONDS = (0.5, 1.0)


def draw_batch_no(sequence_url: str, import_id: str, request_id: str) -> int | None:
    """The same number for the same import, however often it is asked; None: sequence-service is down."""
    headers = {"Idempotency-Key": f"orders-import-{import_id}", "X-Request-ID": request_id}
    headers["X-Authenticated-User"] = "orders-service"
    try:
        answer = http_client.request("POST", sequence_url, _PATH, json={}, headers=headers, timeout=_TIMEOUT_SECONDS)
        answer.raise_for_status()
        return int(answer.json()["sequence_list"][0])
    except (requests.RequestException, KeyError, IndexError, TypeError, ValueError) as error:
        log.warning("batch_no.not_drawn", reason=repr(error))
        return None
