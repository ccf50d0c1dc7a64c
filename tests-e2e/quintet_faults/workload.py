"""A part of the load: it performs operations of one kind, and later compares their effects with the ledger."""

from abc import ABC, abstractmethod
from typing import Any, ClassVar

from quintet_e2e.clients import Client
from quintet_e2e.streams import stream_path
from quintet_faults.checker import Comparison
from quintet_faults.ledger import Ledger, Operation


class Workload(ABC):
    """`step(number)` is called repeatedly by thread `number` of `threads`, each time after `pace_seconds`."""

    name: ClassVar[str]
    threads: ClassVar[int] = 1
    pace_seconds: ClassVar[float] = 0.1

    def __init__(self, client: Client, ledger: Ledger) -> None:
        self.client, self.ledger = client, ledger

    @abstractmethod
    def step(self, number: int) -> None: ...

    @abstractmethod
    def comparisons(self) -> list[Comparison]:
        """Read the effects from the services. Those that are not complete yet may be read again later."""

    def operations(self, *prefix: Any) -> list[Operation]:
        """Return the operations of this workload whose value begins with the prefix."""
        count = len(prefix)
        return [
            operation
            for operation in self.ledger.operations
            if operation.workload == self.name and operation.value[:count] == prefix
        ]


def end_of_stream(client: Client, stream: str) -> int:
    """Return the position of the last event, or 0 if the stream does not exist yet."""
    response = client.get(stream_path(stream))
    position: int = response.json()["position"] if response.ok else 0
    return position
