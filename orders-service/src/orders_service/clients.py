"""HTTP calls to sequence-service."""

import requests

from chassis.runtime import http_client, logs

log = logs.logger(__name__)

_PATH = "/sequences/batch-sequence/next"
_CONNECT_TIMEOUT_SECONDS, _READ_TIMEOUT_SECONDS = 0.5, 1.0


def issue_batch_no(sequence_url: str, import_id: str, request_id: str) -> int | None:
    """Return the batch number of the import, the same one in every call; None if sequence-service is unavailable."""
    headers = {
        "Idempotency-Key": f"orders-import-{import_id}",
        "X-Request-ID": request_id,
        "X-Authenticated-User": "orders-service",
    }
    try:
        response = http_client.request(
            "POST",
            sequence_url,
            _PATH,
            json={},
            headers=headers,
            timeout=(_CONNECT_TIMEOUT_SECONDS, _READ_TIMEOUT_SECONDS),
        )
        response.raise_for_status()
        return int(response.json()["sequence_list"][0])
    except (requests.RequestException, KeyError, IndexError, TypeError, ValueError) as error:
        log.warning("batch_no.not_issued", reason=repr(error))
        return None
