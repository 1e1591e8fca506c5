"""MNIST and data sets in its form: 60,000 gray images of 28x28 pixels in two idx files."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from workloads.data.hub import HubImages, hub_images
from workloads.data.idx import read_idx
from workloads.data.places import places, searched_text
from workloads.errors import WorkloadError

TRAIN = 55_000
"""Training images of the 60,000, as in Shallue et al. 2018; the other 5,000 validate."""

_IMAGES, _LABELS = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"

Arrays = tuple[NDArray[np.uint8], NDArray[np.uint8]]


@dataclass(frozen=True, kw_only=True, slots=True)
class IdxImages:
    """A data set in the form of MNIST.

    Attributes:
        name: its name in messages.
        subfolder: its usual folder in BATCHSCALE_DATA.
        hub: where it is on the hub.
        package: folder of a system package that provides it; None without one.
        remedy: how to install that package; empty without one.
    """

    name: str
    subfolder: str
    hub: HubImages
    package: Path | None = None
    remedy: str = ""

    def read(self, data_dir: str | None, download: bool) -> Arrays:
        """Return all 60,000 images (60,000, 28, 28) and labels (60,000,).

        Args:
            data_dir: folder of the idx files, plain or gzipped; None searches the usual places.
            download: whether missing files may be fetched from the hub.

        Raises:
            WorkloadError: no files are found, they are damaged, or the hub cannot be reached.
        """
        folders = places([self.subfolder], self.package)
        if data_dir is not None:
            folders = [Path(data_dir).expanduser()]
        folder = next((place for place in folders if _file(place, _IMAGES) is not None), None)
        if folder is not None:
            images, labels = self._from_folder(folder)
        elif download:
            images, labels = hub_images(
                self.hub, "give the folder of the idx files with --data-dir"
            )
        else:
            raise WorkloadError(
                f"{self.name} needs the files {_IMAGES}[.gz] and {_LABELS}[.gz], got "
                f"{searched_text(folders)}; give their folder with --data-dir or BATCHSCALE_DATA, "
                f"{self.remedy}or set workload_options.download = true"
            )
        if images.shape != (60_000, 28, 28) or labels.shape != (60_000,):
            raise WorkloadError(
                f"{self.name} must have 60,000 images of 28x28 pixels, got images {images.shape} "
                f"and labels {labels.shape}; fetch the files again"
            )
        return images, labels

    def _from_folder(self, folder: Path) -> Arrays:
        images, labels = _file(folder, _IMAGES), _file(folder, _LABELS)
        if images is None or labels is None:
            raise WorkloadError(
                f"{self.name} needs the file {_LABELS}[.gz] beside the images, got none in "
                f"{folder}; add it"
            )
        return read_idx(images), read_idx(labels)


def _file(folder: Path, name: str) -> Path | None:
    paths = (folder / f"{name}.gz", folder / name)
    return next((path for path in paths if path.is_file()), None)
