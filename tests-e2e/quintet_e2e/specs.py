"""Specs with unique datasets: their upload, the end of their flows, and their events in the stream `specstore`."""

import hashlib
import io
import secrets
from typing import Any

import requests

from quintet import Quintet
from quintet_e2e.clients import UNAVAILABLE_STATUSES, Client, attempt_request, ok_json
from quintet_e2e.streams import read_events
from quintet_testing.waiting import eventually

ROWS = [{"name": "Malbec", "year": 2020}, {"name": "Syrah", "year": 2021}]
FIELDS = [{"name": "name", "type": "string"}, {"name": "year", "type": "integer"}]
FINAL_STATES = ("SUCCEEDED", "FAILED")
FLOW_SECONDS = 120


def spec(owner: str, dataset: str, rows: Any, **options: Any) -> dict[str, Any]:
    resource = {"name": "reds", "data": rows, "schema": {"fields": FIELDS}}
    parameters = {"descriptor": {"name": "wines", "resources": [resource]}}
    return {
        "meta": {"owner": "E2E", "ownerid": owner, "dataset": dataset, "version": 1, "findability": "published"},
        "inputs": [{"kind": "datapackage", "url": "datapackage.json", "parameters": parameters}],
        **options,
    }


class Owner:
    """A user with a token, who owns datasets."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.id = client.credentials[0]
        self.headers: dict[str, str] = {}
        ok_json(self.renew_token())

    def renew_token(self) -> requests.Response:
        """Request a token, and use it from now on if the response has one."""
        response = self.client.post("/auth/token")
        if response.ok:
            self.headers = {"Auth-Token": response.json()["token"]}
        return response

    def new_dataset_name(self) -> str:
        return f"wines-{secrets.token_hex(4)}"

    def spec(self, dataset: str, *, rows: Any = None, **options: Any) -> dict[str, Any]:
        return spec(self.id, dataset, ROWS if rows is None else rows, **options)

    def upload(self, dataset: str, **spec: Any) -> str:
        """Upload one revision, regardless of retries, and return the ID of its flow."""
        body = self.spec(dataset, **spec)
        response = self.client.send_with_retry("POST", "/source/upload", headers=self.headers, json=body)
        flow_id: str = ok_json(response)["flow_id"]
        return flow_id

    def get_status(self, flow_id: str) -> dict[str, Any]:
        status: dict[str, Any] = ok_json(self.client.get(f"/source/{flow_id}", headers=self.headers))
        return status

    def wait_for_end(self, flow_id: str, within_seconds: float = FLOW_SECONDS) -> dict[str, Any]:
        """Return the status of the flow after its end, regardless of outages until then."""
        status: dict[str, Any] = {}

        def has_ended() -> bool:
            attempt = attempt_request(lambda: self.client.get(f"/source/{flow_id}", headers=self.headers))
            if attempt.response is None or attempt.response.status_code in UNAVAILABLE_STATUSES:
                return False
            status.update(ok_json(attempt.response))
            return status["state"] in FINAL_STATES

        eventually(has_ended, within_seconds)
        return status

    def store_file(self, path: str, content: bytes) -> None:
        """Store the file, with retries until the outcome is known."""
        url = self.client.stack.client_url(*self.client.credentials)
        with Quintet(url, retry_seconds=FLOW_SECONDS) as quintet:
            quintet.datasets.upload_file(io.BytesIO(content), path)

    def output_files(self, status: dict[str, Any]) -> dict[str, bytes]:
        """Return the output file of each pipeline that succeeded; check each against its hash."""
        files = {}
        for pipeline in status["pipelines"].values():
            if pipeline["status"] == "SUCCEEDED":
                stats = pipeline["stats"]
                content = self.client.get(f"/source/{status['id']}/data/{stats['path']}", headers=self.headers).content
                assert f"sha256:{hashlib.sha256(content).hexdigest()}" == stats["hash"], stats["path"]
                files[stats["path"]] = content
        return files

    def list_revisions(self, dataset: str) -> list[int]:
        """Return the revision numbers, newest first."""
        page = ok_json(self.client.get(f"/source/{self.id}/{dataset}?limit=1000", headers=self.headers))
        assert page["total"] == len(page["revisions"])
        return [revision["revision"] for revision in page["revisions"]]

    def event_names(self, flow: str) -> list[str]:
        """Return the names of the flow's events, oldest first; `flow` is its ID, or its reference if private."""
        events = read_events(self.client, "specstore")
        return [event["event"]["name"] for event in events if flow in flow_references(event)]


def flow_references(event: dict[str, Any]) -> set[str | None]:
    """Return how an event refers to its flow: by the ID or, if the dataset is private, by a reference."""
    return {event["payload"].get("flow_id"), event["payload"].get("flow")} - {None}
