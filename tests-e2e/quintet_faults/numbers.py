"""Numbers of a sequence."""

import secrets

from quintet_e2e.clients import Client, ok_json
from quintet_e2e.sequences import UniqueSequence
from quintet_faults.checker import Comparison
from quintet_faults.ledger import Ledger, Operation
from quintet_faults.workload import Workload


class Numbers(Workload):
    """Threads that draw numbers of one sequence, which must be issued once and without gaps."""

    name = "numbers"
    threads = 3

    def __init__(self, client: Client, ledger: Ledger) -> None:
        super().__init__(client, ledger)
        self._sequence = UniqueSequence(client, maximum=10**9, cycle=False).name

    def step(self, number: int) -> None:
        count = 1 + secrets.randbelow(5)
        path, body = f"/sequences/{self._sequence}/next", {"n": count}
        operation = self.ledger.perform(
            self.name, (count,), lambda headers: self.client.post(path, json=body, headers=headers)
        )
        if operation.is_ok and len(operation.result["sequence_list"]) != count:
            self.ledger.report_problem(operation, f"{count} numbers requested, received {operation.result}")

    def comparisons(self) -> list[Comparison]:
        issued = ok_json(self.client.get(f"/sequences/{self._sequence}"))["last"] or 0
        return [compare_numbers(self.operations(), issued)]


def compare_numbers(operations: list[Operation], issued: int) -> Comparison:
    """Compare the numbers that clients received with 1 … `issued`: none is missing, and none was received twice."""
    received = [
        (number, operation)
        for operation in operations
        if operation.is_ok
        for number in operation.result["sequence_list"]
    ]
    return Comparison("numbers", received, list(range(1, issued + 1)), is_ordered=False)
