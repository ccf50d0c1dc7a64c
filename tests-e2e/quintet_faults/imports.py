"""Files of orders, some of which repeat the IDs of an earlier file: the first row with an ID wins."""

import csv
import io
import secrets
from typing import Any

from quintet_e2e.clients import Client, attempt_request
from quintet_e2e.orders import API, CSV, assert_counters_add_up, first_unused_id, get_status
from quintet_faults.checker import Comparison
from quintet_faults.ledger import Ledger, Operation
from quintet_faults.workload import Workload

_ROWS = 40


class Imports(Workload):
    """A client that uploads files with new IDs; after every second one, a file with the IDs of an ended import.

    The value of an operation is the first ID of its file and the name of its orders.
    """

    name = "imports"
    pace_seconds = 0.5

    def __init__(self, client: Client, ledger: Ledger) -> None:
        super().__init__(client, ledger)
        self._run = f"faults{secrets.token_hex(4)}"
        self._next_id = first_unused_id()
        self._count = 0

    def step(self, number: int) -> None:
        self._count += 1
        repeated = self._ended_import() if self._count % 3 == 0 else None
        first_id = self._next_id
        if repeated:
            first_id = repeated.value[0]
        else:
            self._next_id += _ROWS
        name = f"{self._run} {'repeated' if repeated else 'first'} {self._count}"
        params = {"file_name": "orders.csv"}
        self.ledger.perform(
            self.name,
            (first_id, name, repeated is None),
            lambda headers: self.client.put(
                f"{API}/import", headers=CSV | headers, data=_file(first_id, name), params=params
            ),
        )

    def _ended_import(self) -> Operation | None:
        """Return the last import of new orders that has certainly ended."""
        for operation in reversed(self._imports(is_first=True)[-5:]):
            task_id = operation.result["result"]["task_id"]
            attempt = attempt_request(lambda task_id=task_id: self.client.get(f"{API}/import/status/{task_id}"))
            if attempt.is_ok and attempt.response and attempt.response.json()["result"]["status"] == "SUCCESS":
                return operation
        return None

    def _imports(self, *, is_first: bool) -> list[Operation]:
        return [operation for operation in self.operations() if operation.is_ok and operation.value[2] is is_first]

    def comparisons(self) -> list[Comparison]:
        return [self._stored_orders(), self._statuses()]

    def _stored_orders(self) -> Comparison:
        response = self.client.get(f"{API}.csv?name={self._run}")
        rows = list(csv.DictReader(io.StringIO(response.text)))
        expected = [
            ((operation.value[0] + index, operation.value[1]), operation)
            for operation in self._imports(is_first=True)
            for index in range(_ROWS)
        ]
        return Comparison("orders", list(expected), [(int(row["id"]), row["name"]) for row in rows])

    def _statuses(self) -> Comparison:
        """Compare the counters: all rows of a file are stored, or all are duplicates."""
        operations = self._imports(is_first=True) + self._imports(is_first=False)
        expected: list[Any] = [
            ((operation.value[1], "SUCCESS", _ROWS if operation.value[2] else 0, _ROWS), operation)
            for operation in operations
        ]
        observed = []
        for operation in operations:
            status = get_status(self.client, operation.result["result"]["task_id"])
            assert_counters_add_up(status)
            stored = status["valid"] + status["invalid"]
            observed.append((operation.value[1], status["status"], stored, status["total"]))
        return Comparison("imports", expected, observed)


def _file(first_id: int, name: str) -> bytes:
    rows = [f"{first_id + index}|{name}|a@example.org|IA|05130|Feb 27, 1963" for index in range(_ROWS)]
    return ("id|name|email|state|zipcode|birthday\n" + "\n".join(rows) + "\n").encode()
