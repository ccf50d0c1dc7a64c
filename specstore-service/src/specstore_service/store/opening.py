"""Which store of files the settings mean."""

import functools
from pathlib import Path

from specstore_service.settings import Settings
from specstore_service.store.objects import Folder, Objects


@functools.cache
def objects_of(settings: Settings) -> Objects:
    if settings.s3_bucket is None:
        return Folder(Path(settings.data_dir))
    # Its library is large: who does not use it does not load it.
    from specstore_service.store.buckets import Bucket

    return Bucket(settings)
