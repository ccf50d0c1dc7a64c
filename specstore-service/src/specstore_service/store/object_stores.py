"""Which store of files the settings mean."""

import functools
from pathlib import Path

from specstore_service.settings import Settings
from specstore_service.store.objects import FolderStore, ObjectStore


@functools.cache
def create_object_store(settings: Settings, scratch: Path | None = None) -> ObjectStore:
    """`scratch`: the folder for what is being written, if it is not the common one."""
    if settings.s3_bucket is None:
        return FolderStore(Path(settings.data_dir), scratch)
    # Its library is large: who does not use it does not load it.
    from specstore_service.store.buckets import BucketStore

    return BucketStore(settings, scratch)
