"""Which store of files the settings mean."""

import functools
from pathlib import Path

from specstore_service.settings import Settings
from specstore_service.store.objects import Folder, Objects


@functools.cache
def create_object_store(settings: Settings, scratch: Path | None = None) -> Objects:
    """`scratch`: the folder for what is being written, if it is not the common one."""
    if settings.s3_bucket is None:
        return Folder(Path(settings.data_dir), scratch)
    # Its library is large: who does not use it does not load it.
    from specstore_service.store.buckets import Bucket

    return Bucket(settings, scratch)
