"""Files in a bucket of S3, or of what speaks its protocol."""

import io
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
from boto3.exceptions import Boto3Error
from botocore.client import Config
from botocore.exceptions import BotoCoreError, ClientError

from chassis.errors import NotFound, Unavailable
from specstore_service.settings import Settings
from specstore_service.store.objects import ChunkIterator, scratch_file, translate_storage_errors

_MISSING = ("404", "NoSuchKey", "NotFound")


class BucketStore:
    """An object appears when its upload is complete: the protocol has it so."""

    def __init__(self, settings: Settings, scratch: Path | None = None) -> None:
        self.scratch = scratch or Path(settings.data_dir) / "scratch"
        self._name = settings.s3_bucket
        self._client: Any = boto3.client(
            "s3",
            endpoint_url=settings.s3_endpoint_url,
            region_name=settings.s3_region,
            aws_access_key_id=settings.s3_access_key_id,
            aws_secret_access_key=settings.s3_secret_access_key,
            config=Config(
                connect_timeout=3,
                read_timeout=30,
                retries={"mode": "standard", "max_attempts": 4},
                s3={"addressing_style": "path"},
                # Not every server knows the newer checksums; each file's hash is known to us.
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
            ),
        )

    def put(self, key: str, file: Path) -> None:
        with _translate_bucket_errors():
            self._client.upload_file(str(file), self._name, key)
        file.unlink(missing_ok=True)

    @contextmanager
    def local_path(self, key: str) -> Iterator[Path]:
        with scratch_file(self) as path:
            with _translate_bucket_errors():
                self._client.download_file(self._name, key, str(path))
            yield path

    def read_range(self, key: str, start: int, length: int) -> ChunkIterator:
        if length == 0:
            return ChunkIterator(io.BytesIO(), 0)
        with _translate_bucket_errors():
            part = f"bytes={start}-{start + length - 1}"
            return ChunkIterator(self._client.get_object(Bucket=self._name, Key=key, Range=part)["Body"], length)

    def delete(self, keys: Iterable[str]) -> None:
        with _translate_bucket_errors():
            for key in keys:
                self._client.delete_object(Bucket=self._name, Key=key)

    def list_sizes(self, folder: str) -> dict[str, int]:
        pages = self._client.get_paginator("list_objects_v2")
        with _translate_bucket_errors():
            found = pages.paginate(Bucket=self._name, Prefix=f"{folder}/")
            return {each["Key"]: each["Size"] for page in found for each in page.get("Contents", ())}


@contextmanager
def _translate_bucket_errors() -> Iterator[None]:
    try:
        with translate_storage_errors():
            yield
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") in _MISSING:
            raise NotFound("there is no such file") from None
        raise Unavailable("the bucket refuses") from error
    except (BotoCoreError, Boto3Error) as error:
        raise Unavailable("the bucket does not answer") from error
