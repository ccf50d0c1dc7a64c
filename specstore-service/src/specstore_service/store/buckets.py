"""The object store in a bucket of Amazon S3 or of a server with the same protocol."""

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

_NOT_FOUND_CODES = ("404", "NoSuchKey", "NotFound")


class BucketStore:
    """Objects in a bucket. The protocol guarantees that an object is visible only after its upload is complete."""

    def __init__(self, settings: Settings, scratch: Path | None = None) -> None:
        self.scratch = scratch or Path(settings.data_dir) / "scratch"
        self._bucket = settings.s3_bucket
        # boto3 generates the methods of its clients at run time, so they have no types.
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
                # Not every server supports the newer checksums; this service stores the hash of each file itself.
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
            ),
        )

    def put(self, key: str, file: Path) -> None:
        with _translate_bucket_errors():
            self._client.upload_file(str(file), self._bucket, key)
        file.unlink(missing_ok=True)

    @contextmanager
    def local_path(self, key: str) -> Iterator[Path]:
        with scratch_file(self) as path:
            with _translate_bucket_errors():
                self._client.download_file(self._bucket, key, str(path))
            yield path

    def read_range(self, key: str, start: int, length: int) -> ChunkIterator:
        if length == 0:
            return ChunkIterator(io.BytesIO(), 0)
        with _translate_bucket_errors():
            byte_range = f"bytes={start}-{start + length - 1}"
            response = self._client.get_object(Bucket=self._bucket, Key=key, Range=byte_range)
            return ChunkIterator(response["Body"], length)

    def delete(self, keys: Iterable[str]) -> None:
        with _translate_bucket_errors():
            for key in keys:
                self._client.delete_object(Bucket=self._bucket, Key=key)

    def list_sizes(self, folder: str) -> dict[str, int]:
        paginator = self._client.get_paginator("list_objects_v2")
        with _translate_bucket_errors():
            pages = paginator.paginate(Bucket=self._bucket, Prefix=f"{folder}/")
            return {entry["Key"]: entry["Size"] for page in pages for entry in page.get("Contents", ())}


@contextmanager
def _translate_bucket_errors() -> Iterator[None]:
    try:
        with translate_storage_errors():
            yield
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") in _NOT_FOUND_CODES:
            raise NotFound("file not found") from None
        raise Unavailable("the bucket rejected the request") from error
    except (BotoCoreError, Boto3Error) as error:
        raise Unavailable("the bucket is unreachable") from error
