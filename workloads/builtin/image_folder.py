"""The workload for a user's own images, sorted into one folder per class."""

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

from torch import nn

from workloads.builtin.classification import cross_entropy, misclassified
from workloads.data.image_files import ImageFiles, find_images
from workloads.data.image_folder import image_folder
from workloads.data.places import place_of
from workloads.errors import WorkloadError
from workloads.models.alexnet import alexnet
from workloads.models.resnet import resnet8, resnet50
from workloads.models.simple_cnn import simple_cnn, sizes_of
from workloads.models.vgg import vgg11
from workloads.workload import Data, Target

Shape = tuple[int, int, int]

_MODELS: Mapping[str, Callable[[Shape, int], nn.Module]] = {
    "simple-cnn": lambda image, classes: simple_cnn(image, classes, sizes_of("base")),
    "resnet8": lambda image, classes: resnet8(image[0], classes),
    "resnet50": resnet50,
    "alexnet": alexnet,
    "alexnet-bn": lambda image, classes: alexnet(image, classes, "batch"),
    "vgg11": vgg11,
}


class ImageFolder:
    """Images in one subfolder per class, a network by name, 25 % validation error."""

    target = Target(0.25)
    study_defaults: Mapping[str, Any] = {"race": {"max_steps": 100_000}}

    loss = staticmethod(cross_entropy)
    error = staticmethod(misclassified)

    def __init__(
        self,
        folder: str = "images",
        model: str = "resnet50",
        size: int = 64,
        cache: str | None = None,
        images: float = 1.0,
        classes: float = 1.0,
    ) -> None:
        """Set the images and the network.

        Args:
            folder: folder with a subfolder for every class, or with subfolders `train` and `val`
                (or `valid`, `validation`, `test`) that have them; an absolute path, or one in
                BATCHSCALE_DATA.
            model: simple-cnn, resnet8, resnet50, alexnet, alexnet-bn or vgg11.
            size: side in pixels to which images are resized and cropped.
            cache: folder for the decoded images, a path like `folder`. They are then memory-mapped
                and may be larger than memory, and the lanes are looped. None to decode them into
                memory.
            images: training images to keep: a fraction up to 1, a number above.
            classes: classes to keep: a fraction up to 1, a number above.

        Raises:
            WorkloadError: there is no such model.
        """
        if model not in _MODELS:
            raise WorkloadError(f"`model` must be one of {', '.join(_MODELS)}, got {model!r}")
        self._folder, self._cache, self._model, self._size = folder, cache, model, size
        self._part = (images, classes)

    @cached_property
    def _files(self) -> ImageFiles:
        return find_images(place_of("folder", self._folder), *self._part)

    @cached_property
    def _data(self) -> Data:
        cache = None if self._cache is None else place_of("cache", self._cache)
        return image_folder(self._files, self._size, cache)

    def data(self) -> Data:
        """Return the images, decoded once."""
        return self._data

    def model(self) -> nn.Module:
        """Return a new network with a logit for every class in the folder."""
        return _MODELS[self._model]((3, self._size, self._size), self._files.classes)
