"""Every environment variable of this service."""

from pydantic import Field

from chassis.config import ServiceSettings


class Settings(ServiceSettings):
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
