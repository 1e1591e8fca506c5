"""Real training on real images, where they are installed."""

import pytest

from workloads.data.idx_images import FASHION_MNIST

DEBIAN_FOLDER = FASHION_MNIST.package

STUDY = """
workload = "fashion-mnist-mlp"
batch_sizes = [16, 256, 4096]
[search]
trials = 4
[search.space]
lr = { low = 0.01, high = 0.3, scale = "log" }
momentum = 0.9
[race]
target = 0.25
max_steps = 2000
"""


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.skipif(not DEBIAN_FOLDER.is_dir(), reason="package dataset-fashion-mnist is missing")
def test_larger_batches_need_fewer_steps_on_fashion_mnist(place):
    (place.folder / "study.toml").write_text(STUDY)
    code, out, err = place.run("sweep", "study.toml", "--data-dir", DEBIAN_FOLDER)
    assert code == 0, err
    steps = place.table("trials.parquet").groupby("batch_size")["steps"].min()
    assert steps[16] > 1.5 * steps[256] > 1.5 * steps[4096] * 1.2
