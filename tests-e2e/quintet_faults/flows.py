"""Flows of specs: each must succeed, with one FlowFinished, and revisions of a dataset have no gaps."""

from http import HTTPStatus
from typing import Any

import requests

from quintet_e2e.clients import Client
from quintet_e2e.specs import Owner
from quintet_e2e.streams import read_events
from quintet_faults.checker import Comparison
from quintet_faults.ledger import Ledger, Operation
from quintet_faults.workload import Workload, end_of_stream


class Flows(Workload):
    """A client that uploads revisions of one dataset."""

    name = "flows"
    pace_seconds = 3.0

    def __init__(self, client: Client, ledger: Ledger) -> None:
        super().__init__(client, ledger)
        self._owner = Owner(client)
        self._spec = self._owner.spec(self._owner.new_dataset_name())
        self._next_position = end_of_stream(client, "specstore") + 1
        self._finished: list[str] = []

    def step(self, number: int) -> None:
        self.ledger.perform(self.name, (), self._upload)

    def _upload(self, headers: dict[str, str]) -> requests.Response:
        response = self._upload_once(headers)
        if response.status_code == HTTPStatus.UNAUTHORIZED:
            # The token has expired: after an hour, or because the clock of the service has stepped.
            response = self._owner.renew_token()
            if response.ok:
                response = self._upload_once(headers)
        return response

    def _upload_once(self, headers: dict[str, str]) -> requests.Response:
        return self.client.post("/source/upload", headers=self._owner.headers | headers, json=self._spec)

    def comparisons(self) -> list[Comparison]:
        flows: list[Any] = [
            (operation.result["flow_id"], operation) for operation in self.operations() if operation.is_ok
        ]
        return [self._events(flows), self._states(flows), self._revisions(flows)]

    def _events(self, flows: list[tuple[str, Operation]]) -> Comparison:
        events = read_events(self.client, "specstore", self._next_position)
        self._next_position += len(events)
        self._finished += [event["payload"]["flow_id"] for event in events if event["event"]["name"] == "FlowFinished"]
        ids = {flow for flow, _ in flows}
        return Comparison(
            "FlowFinished", list(flows), [flow for flow in self._finished if flow in ids], is_ordered=False
        )

    def _states(self, flows: list[tuple[str, Operation]]) -> Comparison:
        expected: list[Any] = [((flow, "SUCCEEDED"), operation) for flow, operation in flows]
        observed = [(flow, self._owner.get_status(flow)["state"]) for flow, _ in flows]
        return Comparison("flows", expected, observed)

    def _revisions(self, flows: list[tuple[str, Operation]]) -> Comparison:
        dataset = self._spec["meta"]["dataset"]
        expected: list[Any] = [(number, operation) for number, (_, operation) in enumerate(flows, start=1)]
        return Comparison("revisions", expected, sorted(self._owner.list_revisions(dataset)))
