"""Files of the Hugging Face hub: an optional extra, and the only network access."""

import importlib
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from workloads.data.image_pixels import read_pixels
from workloads.errors import WorkloadError


@dataclass(frozen=True, kw_only=True, slots=True)
class HubImages:
    """Images on the hub: a parquet file of encoded images and labels."""

    repository: str  # owner/name
    file: str  # the parquet file in it
    image: str = "image"  # column of the images
    label: str = "label"  # column of the labels


def hub_file(repository: str, file: str, remedy: str) -> Path:
    """Return the local path of a file in a hub data set, owner/name; download it on first use.

    Messages end with `remedy`, what else the user can do.

    Raises:
        WorkloadError: the path leads outside, the extra is missing, or the hub is out of reach.
    """
    if not file or "\\" in file or any(part in {"", ".", ".."} for part in file.split("/")):
        raise WorkloadError(
            f"a file of the hub must be inside its repository, got {file!r} of {repository}; give "
            "its path there, such as data/train.txt"
        )
    try:
        hub: Any = importlib.import_module("huggingface_hub")
    except ImportError as error:
        raise WorkloadError(
            f"download = true needs the extra `hub`, got no {error.name}; "
            "pip install 'batchscale[hub]'"
        ) from error
    try:
        return Path(hub.hf_hub_download(repository, file, repo_type="dataset"))
    except Exception as error:
        raise WorkloadError(
            f"download = true needs the Hugging Face hub, got {type(error).__name__}: {error}; "
            f"connect, or {remedy}"
        ) from error


def hub_images(source: HubImages, remedy: str) -> tuple[NDArray[np.uint8], NDArray[np.integer]]:
    """Return images (examples, height, width, 3) and labels (examples,) from the hub.

    The hub stores them as PNG in parquet. Messages end with `remedy`, what else the user can do.

    Raises:
        WorkloadError: the file is damaged, or not the one expected.
    """
    path = hub_file(source.repository, source.file, remedy)
    try:
        table = pq.read_table(path, columns=[source.image, source.label])
        encoded = table.column(source.image).to_pylist()
        images = np.stack([read_pixels(io.BytesIO(one["bytes"]), path) for one in encoded])
        labels = np.asarray(table.column(source.label))
        labels = labels.astype(np.int64, casting="safe")
    except (pa.ArrowException, OSError, ValueError, KeyError, TypeError) as error:
        raise WorkloadError(
            f"a file of the hub must hold images of one size and integer labels, got {path}: "
            f"{error}; delete it to have it fetched again, or {remedy}"
        ) from error
    return images, labels
