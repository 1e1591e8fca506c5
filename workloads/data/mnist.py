"""MNIST: 70,000 gray images of 28x28 pixels, handwritten digits (LeCun et al. 1998)."""

from workloads.data.hub import HubImages
from workloads.data.idx_images import IdxImages

MNIST = IdxImages(
    name="MNIST",
    subfolder="mnist",
    hub=HubImages(repository="ylecun/mnist", file="mnist/train-00000-of-00001.parquet"),
)
