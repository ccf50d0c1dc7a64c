"""The environment variables of this service."""

from typing import ClassVar

from pydantic import Field

from chassis.runtime.config import UploadSettings


class Settings(UploadSettings):
    queue_count: ClassVar[int] = 2

    auth_server: str | None = Field(
        None,
        pattern=r"^[A-Za-z0-9.\[\]:_-]+$",
        description="Token issuer: `host:port` of `http://…/auth/public-key`; by default the service itself",
    )
    dpp_url: str | None = Field(
        None,
        pattern="^https?://",
        description="URL of an external pipeline runner; by default the built-in one is used",
    )
    data_dir: str = Field("/data", description="Folder that web and worker share: uploaded files and outputs")
    max_dataset_num: int = Field(
        1000, ge=0, le=10**9, description="Maximum number of datasets per owner, in tokens that the service issues"
    )
    pipeline_silence_seconds: float = Field(
        3600, gt=0, description="A pipeline without an update for that long becomes FAILED"
    )
    schedule_look_seconds: float = Field(
        5, gt=0, le=60, description="Interval at which the worker checks for due schedules"
    )
    pipeline_lease_seconds: float = Field(
        6, ge=1, le=600, description="Duration of the lease on a pipeline; another worker may claim it afterwards"
    )
    source_networks: str | None = Field(
        None,
        pattern=r"^[0-9A-Fa-f.:/, ]*$",
        description="Private networks that data may be fetched from, such as `10.1.0.0/16, fd00::/8`",
    )
    source_seconds: float = Field(
        1800,
        gt=0,
        le=86400,
        description="Maximum duration of fetching one source; ten times as long for all sources of a flow",
    )
    source_bytes: int = Field(
        2**30, ge=1, description="Maximum size of one source, also when unpacked, and of an uploaded file"
    )
    owner_bytes: int = Field(10 * 2**30, ge=1, description="Maximum total size of the uploaded files of one owner")
    unpacked_bytes: int = Field(
        2**28, ge=1, description="Maximum unpacked size of an XLSX source; a quarter of it for JSON"
    )
    s3_bucket: str | None = Field(None, description="S3 bucket for outputs and uploaded files, instead of `DATA_DIR`")
    s3_endpoint_url: str | None = Field(
        None, pattern="^https?://", description="URL of the S3 server; by default Amazon's"
    )
    s3_region: str = Field("us-east-1", description="Region of the bucket")
    s3_access_key_id: str | None = Field(None, repr=False, description="Access key of the bucket")
    s3_secret_access_key: str | None = Field(None, repr=False, description="Secret key of the bucket")

    @property
    def worker_connection_count(self) -> int:
        """Count also the connection of the process of each concurrent pipeline."""
        return super().worker_connection_count + self.worker_threads
