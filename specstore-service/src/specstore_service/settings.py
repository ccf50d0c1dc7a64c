"""Every environment variable of this service."""

from pydantic import Field

from chassis.runtime.config import UploadSettings


class Settings(UploadSettings):
    auth_server: str | None = Field(
        None,
        pattern=r"^[A-Za-z0-9.\[\]:_-]+$",
        description="Who issues tokens: `host:port` of `http://…/auth/public-key`; the service itself if left out",
    )
    dpp_url: str | None = Field(
        None, pattern="^https?://", description="An external runner of pipelines; the built-in one if left out"
    )
    data_dir: str = Field("/data", description="Folder that web and worker share: uploaded files and results")
    max_dataset_num: int = Field(
        1000, ge=0, le=10**9, description="Datasets of one owner, in tokens that the service itself issues"
    )
    pipeline_silence_seconds: float = Field(
        3600, gt=0, description="A pipeline of which nothing was heard for so long is FAILED"
    )
    schedule_look_seconds: float = Field(1, gt=0, le=60, description="How often the worker looks for what is due")
    pipeline_lease_seconds: float = Field(
        6, ge=1, le=600, description="A worker that is silent for so long has lost its pipeline to another one"
    )
    source_networks: str | None = Field(
        None,
        pattern=r"^[0-9A-Fa-f.:/, ]*$",
        description="Private networks that data may be fetched from, such as `10.1.0.0/16, fd00::/8`",
    )
    source_seconds: float = Field(1800, gt=0, le=86400, description="How long the data of one source may take")
    source_bytes: int = Field(2**30, ge=1, description="Size of one source, and of an uploaded file, at the most")
    owner_bytes: int = Field(
        10 * 2**30, ge=1, description="What the uploaded files of one owner may take up, all together"
    )
    unpacked_bytes: int = Field(2**28, ge=1, description="What an XLSX or JSON source may take up, unpacked")
    s3_bucket: str | None = Field(
        None, description="Results and uploaded files go into this bucket, not into `DATA_DIR`"
    )
    s3_endpoint_url: str | None = Field(
        None, pattern="^https?://", description="Where S3 is spoken; Amazon's if left out"
    )
    s3_region: str = Field("us-east-1", description="Region of the bucket")
    s3_access_key_id: str | None = Field(None, repr=False, description="For the bucket")
    s3_secret_access_key: str | None = Field(None, repr=False, description="For the bucket")
