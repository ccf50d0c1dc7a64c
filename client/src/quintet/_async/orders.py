"""Orders and their import from CSV and XLSX files."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Mapping
from operator import itemgetter

from quintet._async.paging import PAGE_SIZE, entries_by_offset
from quintet._async.transport import AsyncTransport, parse_json
from quintet._async.waiting import wait_until_finished
from quintet._decoding import decode
from quintet._events import to_json
from quintet._files import FileSource, OnTransfer, open_upload, replacing
from quintet._paths import segment
from quintet._retry import RetryPolicy
from quintet.errors import ImportFailed
from quintet.models import ImportStatus, Order, OrderSummary, ReportedRow, UndoStatus

_API = "/acme_orders/api/v1/orders"
_CSV = "text/csv"
_XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


class AsyncOrders:
    """`q.orders`: orders, imported from files and validated."""

    def __init__(self, transport: AsyncTransport) -> None:
        self._transport = transport

    async def upload(
        self,
        file: FileSource,
        *,
        dry_run: bool = False,
        update: bool = False,
        encoding: str | None = None,
        columns: Mapping[str, str] | None = None,
        date_format: str | None = None,
        file_name: str | None = None,
        on_progress: OnTransfer | None = None,
    ) -> AsyncImportTask:
        """Upload a CSV or XLSX file, given as a path or an open binary file, and return its import.

        When this returns, the file is stored durably and will be imported, each row once. `dry_run` only validates;
        `update` replaces orders that exist; `columns` maps columns to the headers of the file, such as
        `{"zipcode": "PLZ"}`; `on_progress` is called with a TransferProgress.
        """
        with open_upload(file, on_progress) as source:
            name = file_name or source.name or "orders.csv"
            response = await self._transport.request(
                "PUT",
                f"{_API}/import",
                params={
                    "file_name": name,
                    "dry_run": dry_run or None,
                    "on_duplicate": "update" if update else None,
                    "encoding": encoding,
                    "columns": to_json(dict(columns)).decode() if columns else None,
                    "date_format": date_format,
                },
                content=source,
                headers={"Content-Type": _XLSX if name.lower().endswith(".xlsx") else _CSV},
            )
        return self.task(parse_json(response)["result"]["task_id"])

    def task(self, task_id: str) -> AsyncImportTask:
        """Return the import with this ID, without any request."""
        return AsyncImportTask(self._transport, task_id)

    async def imports(self) -> AsyncIterator[ImportStatus]:
        """Yield the status of all imports, newest first."""
        path, get = f"{_API}/import/status", self._transport.get
        async for status in entries_by_offset(get, path, "result", identity=itemgetter("task_id")):
            yield decode(ImportStatus, status)

    async def list(
        self,
        *,
        valid: bool | None = None,
        state: str | None = None,
        name: str | None = None,
        email: str | None = None,
        zipcode: str | None = None,
    ) -> AsyncIterator[OrderSummary]:
        """Yield the orders that match all filters, ordered by ID.

        `state` is exact, `name` and `email` are contained, `zipcode` is a prefix.
        """
        filters = {"valid": valid, "state": state, "name": name, "email": email, "zipcode": zipcode}
        after: int | None = None
        while True:
            params = {**filters, "limit": PAGE_SIZE, "after": after}
            page = (await self._transport.get(_API, params=params))["result"]
            for order in page:
                yield decode(OrderSummary, order)
            if len(page) < PAGE_SIZE:
                return
            after = page[-1]["id"]

    async def get(self, order_id: int) -> Order:
        return decode(Order, (await self._transport.get(f"{_API}/{order_id}"))["result"])

    async def delete(self, order_id: int) -> None:
        await self._transport.request("DELETE", f"{_API}/{order_id}", settled_statuses=[404])

    async def export(
        self,
        path: str | os.PathLike[str],
        *,
        valid: bool | None = None,
        state: str | None = None,
        name: str | None = None,
        email: str | None = None,
        zipcode: str | None = None,
        on_progress: OnTransfer | None = None,
    ) -> None:
        """Save the orders that match all filters as a CSV file with all columns; see `list` for the filters."""
        filters = {"valid": valid, "state": state, "name": name, "email": email, "zipcode": zipcode}
        with replacing(path) as file:
            await self._transport.download(f"{_API}.csv", file, params=filters, on_progress=on_progress)


class AsyncImportTask:
    """The import of one uploaded file."""

    def __init__(self, transport: AsyncTransport, task_id: str) -> None:
        self.id = task_id
        self._transport = transport
        self._path = f"{_API}/import/{segment(task_id)}"
        self._status_path = f"{_API}/import/status/{segment(task_id)}"

    async def status(self) -> ImportStatus:
        return await self._status(None)

    async def _status(self, policy: RetryPolicy | None) -> ImportStatus:
        return decode(ImportStatus, (await self._transport.get(self._status_path, policy=policy))["result"])

    async def wait(
        self,
        *,
        timeout_seconds: float | None = None,
        on_progress: Callable[[ImportStatus], object] | None = None,
    ) -> ImportStatus:
        """Wait until the import has ended, and return its status; `on_progress` is called with each status.

        Raises ImportFailed if the file could not be imported, or TimedOut. Invalid, duplicate and rejected rows are no
        failure: the status counts them, and `save_errors` saves them.
        """
        status = await wait_until_finished(
            self._status,
            f"import {self.id}",
            policy=self._transport.policy,
            timeout_seconds=timeout_seconds,
            on_progress=on_progress,
        )
        if status.status != "SUCCESS":
            raise ImportFailed(status)
        return status

    async def errors(self, *, limit: int = 100) -> list[ReportedRow]:
        """Return the first rows that were invalid, duplicate or rejected, each with the reasons."""
        document = await self._transport.get(f"{self._path}/errors", params={"limit": limit})
        return [decode(ReportedRow, row) for row in document["result"]]

    async def save_errors(self, path: str | os.PathLike[str], *, on_progress: OnTransfer | None = None) -> None:
        """Save all rows that were invalid, duplicate or rejected, as a file to be corrected and uploaded again."""
        with replacing(path) as file:
            await self._transport.download(f"{self._path}/errors.csv", file, on_progress=on_progress)

    async def cancel(self) -> None:
        """End the import before its next step; orders that are stored are kept. Raises Conflict if it has ended."""
        await self._transport.request("DELETE", self._status_path, settled_statuses=[409])

    async def undo(self) -> UndoStatus:
        """Delete the orders that the import created, in the background; `status().undo` shows the progress.

        Orders that it updated are not restored. Raises Conflict if the import is running or was undone before.
        """
        response = await self._transport.request("DELETE", self._path)
        return decode(UndoStatus, parse_json(response)["result"]["undo"])
