"""Fashion-MNIST: 70,000 grey images of 28x28 pixels, 10 classes (Xiao et al. 2017)."""

import importlib
import io
import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from workloads.data.idx import read_idx
from workloads.errors import WorkloadError
from workloads.workload import Data, Examples

DEBIAN_FOLDER = Path("/usr/share/datasets/fashion-mnist")
HUB_REPOSITORY = "zalando-datasets/fashion_mnist"
HUB_FILE = "fashion_mnist/train-00000-of-00001.parquet"
TRAIN = 55_000
"""Of the 60,000 training images, as in Shallue et al. 2018; the other 5,000 validate."""

_IMAGES, _LABELS = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"

Arrays = tuple[NDArray[np.uint8], NDArray[np.uint8]]


def fashion_mnist(data_dir: str | None, pool: int, download: bool) -> Data:
    """Gives 55,000 training and 5,000 validation images, pixels in [0, 1].

    Args:
        data_dir: folder of the idx files, plain or gzipped, and the only one looked at; None looks
            in BATCHSCALE_DATA and its subfolder fashion-mnist where set, else where Debian's
            package puts them.
        pool: side of the squares of pixels that are averaged, 1 or 2.
        download: whether the Hugging Face hub may be asked when no files are found.

    Returns:
        Images of shape (examples, (28 / pool)^2).

    Raises:
        WorkloadError: no files are found, they are not whole, or the hub cannot be reached.
    """
    check_pool(pool)
    places = _places(data_dir)
    folder = next((place for place in places if _file(place, _IMAGES) is not None), None)
    if folder is not None:
        images, labels = _from_folder(folder)
    elif download:
        images, labels = _from_hub()
    else:
        looked = ", ".join(map(str, places))
        raise WorkloadError(
            f"Fashion-MNIST needs the files {_IMAGES}[.gz] and {_LABELS}[.gz], got none in "
            f"{looked}; give their folder with --data-dir or BATCHSCALE_DATA, install Debian's "
            "package dataset-fashion-mnist, or set workload_options.download = true"
        )
    if images.shape != (60_000, 28, 28) or labels.shape != (60_000,):
        raise WorkloadError(
            f"Fashion-MNIST must have 60,000 images of 28x28 pixels, got images {images.shape} and "
            f"labels {labels.shape}; fetch the files again"
        )
    inputs, targets = _pixels(images, pool), torch.tensor(labels, dtype=torch.int64)
    return Data(
        train=Examples(inputs[:TRAIN], targets[:TRAIN]),
        validation=Examples(inputs[TRAIN:], targets[TRAIN:]),
    )


def check_pool(pool: int) -> int:
    """Gives the side of the squares that are averaged, or refuses it.

    Args:
        pool: what was asked for.

    Returns:
        The same, 1 or 2.

    Raises:
        WorkloadError: it is neither.
    """
    if pool not in {1, 2}:
        raise WorkloadError(f"`pool` must be 1 or 2, got {pool}; choose one")
    return pool


def _places(data_dir: str | None) -> list[Path]:
    if data_dir is not None:
        return [Path(data_dir).expanduser()]
    # a folder that was asked for must hold them: others would not be the user's data
    asked = os.environ.get("BATCHSCALE_DATA")
    return [Path(asked), Path(asked) / "fashion-mnist"] if asked else [DEBIAN_FOLDER]


def _file(folder: Path, name: str) -> Path | None:
    paths = (folder / f"{name}.gz", folder / name)
    return next((path for path in paths if path.is_file()), None)


def _from_folder(folder: Path) -> Arrays:
    images, labels = _file(folder, _IMAGES), _file(folder, _LABELS)
    if images is None or labels is None:
        raise WorkloadError(
            f"Fashion-MNIST needs the file {_LABELS}[.gz] beside the images, got none in {folder}; "
            "add it"
        )
    return read_idx(images), read_idx(labels)


def _from_hub() -> Arrays:
    """Fetches the images as the hub stores them: PNG in parquet."""
    try:
        hub: Any = importlib.import_module("huggingface_hub")
        pillow: Any = importlib.import_module("PIL.Image")
        parquet: Any = importlib.import_module("pyarrow.parquet")
    except ImportError as error:
        raise WorkloadError(
            f"download = true needs the extra `hub`, got no {error.name}; "
            "pip install 'batchscale[hub]'"
        ) from error
    try:
        path = hub.hf_hub_download(HUB_REPOSITORY, HUB_FILE, repo_type="dataset")
    except Exception as error:
        raise WorkloadError(
            f"download = true needs the Hugging Face hub, got {type(error).__name__}: {error}; "
            "connect, or give the folder of the idx files with --data-dir"
        ) from error
    table = parquet.read_table(path)
    encoded = table.column("image").to_pylist()
    images = [np.asarray(pillow.open(io.BytesIO(image["bytes"]))) for image in encoded]
    return np.stack(images), np.asarray(table.column("label"), dtype=np.uint8)


def _pixels(images: NDArray[np.uint8], pool: int) -> Tensor:
    pixels = torch.tensor(images, dtype=torch.float32).div_(255.0)
    return nn.functional.avg_pool2d(pixels, pool).flatten(start_dim=1)
