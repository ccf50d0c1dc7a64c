"""Specs of one's own: uploaded, watched to their end, and what the stream `specstore` tells of them."""

import hashlib
import secrets
from typing import Any

from quintet_e2e.clients import AWAY, Client, attempt, done
from quintet_e2e.streams import events_of
from quintet_testing.waiting import eventually

ROWS = [{"name": "Malbec", "year": 2020}, {"name": "Syrah", "year": 2021}]
FIELDS = [{"name": "name", "type": "string"}, {"name": "year", "type": "integer"}]
ENDED = ("SUCCEEDED", "FAILED")
ENDED_WITHIN = 120


class Owner:
    """A user with his token."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.id = client.credentials[0]
        self.headers = {"Auth-Token": done(client.post("/auth/token"))["token"]}

    def new_dataset(self) -> str:
        return f"wines-{secrets.token_hex(4)}"

    def spec(self, dataset: str, *, rows: Any = None, **more: Any) -> dict[str, Any]:
        resource = {"name": "reds", "data": ROWS if rows is None else rows, "schema": {"fields": FIELDS}}
        parameters = {"descriptor": {"name": "wines", "resources": [resource]}}
        return {
            "meta": {"owner": "E2E", "ownerid": self.id, "dataset": dataset, "version": 1, "findability": "published"},
            "inputs": [{"kind": "datapackage", "url": "datapackage.json", "parameters": parameters}],
            **more,
        }

    def upload(self, dataset: str, **spec: Any) -> str:
        """The id of the flow: one revision, however often it has to be asked for."""
        body = self.spec(dataset, **spec)
        return done(self.client.until_known("POST", "/source/upload", headers=self.headers, json=body))["flow_id"]

    def status(self, flow: str) -> dict[str, Any]:
        return done(self.client.get(f"/source/{flow}", headers=self.headers))

    def ended(self, flow: str, within_seconds: float = ENDED_WITHIN) -> dict[str, Any]:
        """Its status once it has ended, whatever is away meanwhile."""
        found: dict[str, Any] = {}

        def has_ended() -> bool:
            tried = attempt(lambda: self.client.get(f"/source/{flow}", headers=self.headers))
            if tried.answer is None or tried.answer.status_code in AWAY:
                return False
            found.update(done(tried.answer))
            return found["state"] in ENDED

        eventually(has_ended, within_seconds)
        return found

    def keep_file(self, path: str, content: bytes) -> None:
        """Sent again until it is known to be kept: it replaces itself."""

        def is_kept() -> bool:
            url = f"/source/{self.id}/files/{path}"
            tried = attempt(lambda: self.client.put(url, headers=self.headers, data=content))
            if tried.is_away:
                return False
            assert tried.is_ok, tried.told
            return True

        eventually(is_kept, ENDED_WITHIN)

    def files(self, status: dict[str, Any]) -> dict[str, bytes]:
        """What each pipeline that succeeded has made, each whole: its hash is what its figures say."""
        made = {}
        for pipeline in status["pipelines"].values():
            if pipeline["status"] == "SUCCEEDED":
                stats = pipeline["stats"]
                content = self.client.get(f"/source/{status['id']}/data/{stats['path']}", headers=self.headers).content
                assert f"sha256:{hashlib.sha256(content).hexdigest()}" == stats["hash"], stats["path"]
                made[stats["path"]] = content
        return made

    def revisions(self, dataset: str) -> list[int]:
        """Newest first."""
        page = done(self.client.get(f"/source/{self.id}/{dataset}?limit=1000", headers=self.headers))
        assert page["total"] == len(page["revisions"])
        return [revision["revision"] for revision in page["revisions"]]

    def told(self, flow: str) -> list[str]:
        """The events of that flow, oldest first; of a private one `flow` is its reference in events."""
        events = events_of(self.client, "specstore")
        return [event["event"]["name"] for event in events if flow in flows_of(event)]


def flows_of(event: dict[str, Any]) -> set[str | None]:
    """How an event of the stream `specstore` names its flow: by its ID or, of a private dataset, by a reference."""
    return {event["payload"].get("flow_id"), event["payload"].get("flow")} - {None}
