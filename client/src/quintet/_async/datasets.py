"""Datasets: specs, the flows that they start, and files."""

from __future__ import annotations

import hashlib
import os
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import replace
from operator import itemgetter
from pathlib import Path
from typing import IO, Any, TypeVar

from quintet._async.paging import PAGE_SIZE, entries_by_offset
from quintet._async.transport import AsyncTransport, parse_json
from quintet._async.waiting import wait_until_finished
from quintet._decoding import decode
from quintet._files import CHUNK_BYTES, FileSource, OnTransfer, file_in, open_upload, replacing
from quintet._paths import segment, segments
from quintet._retry import RetryPolicy
from quintet._specs import SpecSource, load_spec
from quintet.errors import FlowFailed, Forbidden, NotFound, QuintetError, Unauthorized
from quintet.models import CancelResult, Dataset, FlowStatus, Plan, Revision, StoredFile

Result = TypeVar("Result")

# A token is renewed this long before it expires.
_MARGIN_SECONDS = 60.0


class _AsyncTokens:
    """The token of the user, requested when it is needed and kept until shortly before it expires."""

    def __init__(self, transport: AsyncTransport) -> None:
        self._transport = transport
        self._token: str | None = None
        self._expires_at = 0.0

    async def headers(self, *, is_required: bool = True) -> dict[str, str]:
        """Return the header with the token; without one if none is issued to this user and none is required."""
        if time.monotonic() >= self._expires_at or (is_required and self._token is None):
            try:
                document = parse_json(await self._transport.request("POST", "/auth/token"))
            except (Forbidden, NotFound):
                # A user who may only read receives no token, and nobody does if another server issues them.
                if is_required:
                    raise
                self._token, document = None, {"token": None, "expires_in": _MARGIN_SECONDS * 2}
            self._token = document["token"]
            self._expires_at = time.monotonic() + document["expires_in"] - _MARGIN_SECONDS
        return {} if self._token is None else {"Auth-Token": self._token}

    def discard(self) -> bool:
        """Discard the token; return whether there was one."""
        self._expires_at = 0.0
        return self._token is not None


class _AsyncSourceApi:
    """Requests to specstore-service with the user's token, which is renewed once if it is not accepted."""

    def __init__(self, transport: AsyncTransport) -> None:
        self.transport = transport
        self._tokens = _AsyncTokens(transport)

    async def request(self, method: str, path: str, *, key: str | None = None, **options: Any) -> Any:
        # An attempt whose response was lost may have been applied before the token expired.
        key = uuid.uuid4().hex if key is None else key
        response = await self._with_token(
            lambda headers: self.transport.request(method, path, headers=headers, key=key, **options),
            is_required=method != "GET" and path != "/source/plan",
        )
        return parse_json(response) if response.content else None

    async def get(self, path: str, *, params: Mapping[str, Any] | None = None) -> Any:
        return await self.request("GET", path, params=params)

    async def download(self, path: str, file: IO[bytes], *, on_progress: OnTransfer | None) -> None:
        await self._with_token(
            lambda headers: self.transport.download(path, file, headers=headers, on_progress=on_progress),
            is_required=False,
        )

    async def _with_token(self, send: Callable[[dict[str, str]], Awaitable[Result]], *, is_required: bool) -> Result:
        try:
            return await send(await self._tokens.headers(is_required=is_required))
        except Unauthorized:
            if not self._tokens.discard():
                raise
        return await send(await self._tokens.headers(is_required=is_required))


class AsyncDatasets:
    """`q.datasets`: specs of data sources, whose uploads start flows of pipelines."""

    def __init__(self, transport: AsyncTransport) -> None:
        self._api = _AsyncSourceApi(transport)

    async def upload(self, spec: SpecSource, *, idempotency_key: str | None = None) -> AsyncFlow:
        """Upload a spec, a dict or the path of a JSON or YAML file, as the next revision of its dataset.

        Without `owner` and `ownerid` in `meta`, the dataset belongs to the user.
        """
        document = await self._api.request(
            "POST", "/source/upload", json=load_spec(spec, self._api.transport.user), key=idempotency_key
        )
        return AsyncFlow(self._api, document["flow_id"])

    async def plan(self, spec: SpecSource) -> Plan:
        """Return the pipelines that an upload of the spec would run, without creating anything."""
        return decode(
            Plan, await self._api.request("POST", "/source/plan", json=load_spec(spec, self._api.transport.user))
        )

    async def list(self, owner: str | None = None) -> AsyncIterator[Dataset]:
        """Yield the datasets of an owner, or of all owners; unlisted and private ones only if they are the user's."""
        if owner is not None:
            path = f"/source/{segment(owner)}"
            async for dataset in entries_by_offset(self._api.get, path, "datasets", identity=itemgetter("id")):
                yield decode(Dataset, dataset)
            return
        after: str | None = None
        while True:
            page = await self._api.get("/source", params={"limit": PAGE_SIZE, "after": after})
            datasets = page["datasets"]
            for dataset in datasets:
                yield decode(Dataset, dataset)
            if len(datasets) < PAGE_SIZE:
                return
            after = datasets[-1]["id"]

    async def revisions(self, owner: str, dataset: str) -> AsyncIterator[Revision]:
        """Yield the revisions of a dataset, newest first."""
        path = f"/source/{segment(owner)}/{segment(dataset)}"
        async for revision in entries_by_offset(self._api.get, path, "revisions", identity=itemgetter("revision")):
            yield decode(Revision, revision)

    def flow(self, name: str) -> AsyncFlow:
        """Return the flow `owner/dataset`, `owner/dataset/3`, `…/latest` or `…/successful`, without any request."""
        if name.count("/") == 1:
            name = f"{name}/latest"
        if name.count("/") != 2:
            raise ValueError("a flow must be named owner/dataset or owner/dataset/revision")
        return AsyncFlow(self._api, name)

    async def upload_file(
        self, file: FileSource, remote_path: str, *, on_progress: OnTransfer | None = None
    ) -> StoredFile:
        """Store a file that the user's specs can use as a source; it replaces an older one of this path."""
        with open_upload(file, on_progress) as source:
            document = await self._api.request("PUT", self._file_path(remote_path), content=source)
        return decode(StoredFile, document)

    async def delete_file(self, remote_path: str) -> None:
        """Delete an uploaded file, if it exists."""
        await self._api.request("DELETE", self._file_path(remote_path))

    def _file_path(self, remote_path: str) -> str:
        return f"/source/{segment(self._api.transport.user)}/files/{segments(remote_path)}"


class AsyncFlow:
    """The run of the pipelines of one revision of a dataset."""

    def __init__(self, api: _AsyncSourceApi, flow_id: str) -> None:
        self.id = flow_id
        self._api = api
        self._path = f"/source/{segments(flow_id)}"

    async def status(self) -> FlowStatus:
        return await self._status(None)

    async def _status(self, policy: RetryPolicy | None) -> FlowStatus:
        return decode(FlowStatus, await self._api.request("GET", self._path, policy=policy))

    async def wait(
        self,
        *,
        timeout_seconds: float | None = None,
        on_progress: Callable[[FlowStatus], object] | None = None,
    ) -> AsyncFlow:
        """Wait until all pipelines have ended, and return this flow; `on_progress` is called with each status.

        Raises FlowFailed if a pipeline failed, or TimedOut.
        """
        status = await wait_until_finished(
            self._status,
            f"flow {self.id}",
            policy=self._api.transport.policy,
            timeout_seconds=timeout_seconds,
            on_progress=on_progress,
        )
        if status.state != "SUCCEEDED":
            raise FlowFailed(status)
        return self

    async def download(self, folder: str | os.PathLike[str], *, on_progress: OnTransfer | None = None) -> list[Path]:
        """Save the files that the pipelines created into the folder, and return their paths.

        Each file is compared with its hash before it replaces an older one.
        """
        status = await self.status()
        target = Path(folder)
        target.mkdir(parents=True, exist_ok=True)
        paths = []
        for pipeline in status.pipelines.values():
            if pipeline.status == "SUCCEEDED" and (name := pipeline.stats.get("path")):
                path = file_in(target, name)
                await self._download_file(status.id, name, pipeline.stats.get("hash"), path, on_progress)
                paths.append(path)
        return paths

    async def _download_file(
        self, flow_id: str, name: str, expected_hash: str | None, path: Path, on_progress: OnTransfer | None
    ) -> None:
        with replacing(path) as file:
            data_path = f"/source/{segments(flow_id)}/data/{segment(name)}"
            report = on_progress and (lambda progress: on_progress(replace(progress, name=name)))
            await self._api.download(data_path, file, on_progress=report)
            file.seek(0)
            digest = hashlib.sha256()
            while chunk := file.read(CHUNK_BYTES):
                digest.update(chunk)
            if expected_hash not in (None, f"sha256:{digest.hexdigest()}"):
                raise QuintetError(f"{name} does not have the hash that its pipeline reported; download it again")

    async def cancel(self) -> CancelResult:
        """Cancel the unfinished pipelines, which become FAILED."""
        return decode(CancelResult, await self._api.request("POST", f"{self._path}/cancel"))

    async def retry(self) -> AsyncFlow:
        """Create a new revision of the same spec, and return its flow."""
        document = await self._api.request("POST", f"{self._path}/retry")
        return AsyncFlow(self._api, document["flow_id"])
