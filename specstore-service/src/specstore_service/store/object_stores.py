"""Selects the object store."""

import functools
from pathlib import Path

from specstore_service.settings import Settings
from specstore_service.store.objects import FolderStore, ObjectStore


@functools.cache
def create_object_store(settings: Settings, scratch: Path | None = None) -> ObjectStore:
    """Return the object store of the settings. `scratch` replaces the shared scratch folder."""
    if settings.s3_bucket is None:
        return FolderStore(Path(settings.data_dir), scratch)
    # boto3 is large: load it only if it is used.
    from specstore_service.store.buckets import BucketStore

    return BucketStore(settings, scratch)
