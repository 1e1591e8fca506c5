"""Files on a disk that are written as a whole or not at all."""

import os
import time
from pathlib import Path

import pyarrow as pa

_STALE_SECONDS = 60.0


def replace_file(path: Path, content: "bytes | memoryview | pa.Buffer") -> None:
    """Write a file of a disk: a reader sees the old content or the new, whenever we are killed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def delete_stale(folder: Path) -> None:
    """Delete temporary files of killed writers; fresh ones may still be in use."""
    for pattern in (".*.tmp", "*/.*.tmp"):
        for path in folder.glob(pattern):
            if path.stat().st_mtime < time.time() - _STALE_SECONDS:
                path.unlink(missing_ok=True)
