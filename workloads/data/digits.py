"""Handwritten digits from scikit-learn: 1,797 gray images of 8x8 pixels, 10 classes."""

import torch

from workloads.workload import Data, Examples

VALIDATION = 450


def digits() -> Data:
    """Return 1,347 training and 450 validation images, pixels in [0, 1], classes balanced."""
    # imported here, since it takes a second and workers get the data from the driver
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    pixels, labels = load_digits(return_X_y=True)
    train_x, val_x, train_y, val_y = train_test_split(
        pixels / 16.0, labels, test_size=VALIDATION, stratify=labels, random_state=0
    )
    return Data(
        train=Examples(torch.tensor(train_x, dtype=torch.float32), torch.tensor(train_y)),
        validation=Examples(torch.tensor(val_x, dtype=torch.float32), torch.tensor(val_y)),
    )
