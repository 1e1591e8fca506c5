"""Parameter counts against those by hand, shapes on the meta device, and options."""

import pytest
import torch

from workloads.errors import WorkloadError
from workloads.models.alexnet import alexnet
from workloads.models.layers import Pixels
from workloads.models.resnet import BottleneckBlock, resnet8, resnet50
from workloads.models.simple_cnn import simple_cnn, sizes_of
from workloads.models.vgg import vgg11

MNIST, CIFAR, IMAGENET = (1, 28, 28), (3, 32, 32), (3, 224, 224)


def conv(before, after, side, bias=True):
    return side * side * before * after + bias * after


def dense(before, after):
    return before * after + after


def alexnet_convolutions(first):
    return (
        conv(3, 96, first)
        + conv(96, 256, 5)
        + conv(256, 384, 3)
        + conv(384, 384, 3)
        + conv(384, 256, 3)
    )


VGG_CONVOLUTIONS = sum(
    conv(before, after, 3)
    for before, after in [
        (3, 64),
        (64, 128),
        (128, 256),
        (256, 256),
        (256, 512),
        (512, 512),
        (512, 512),
        (512, 512),
    ]
)
RESNET8_CONVOLUTIONS = [(3, 16), (16, 16), (16, 16), (16, 32), (32, 32), (32, 64), (64, 64)]

COUNTS = {
    "simple cnn base": (
        lambda: simple_cnn(MNIST, 10, sizes_of("base")),
        MNIST,
        conv(1, 32, 5) + conv(32, 64, 5) + dense(7 * 7 * 64, 1024) + dense(1024, 10),
    ),
    "simple cnn narrow": (
        lambda: simple_cnn(MNIST, 10, sizes_of("narrow")),
        MNIST,
        conv(1, 16, 5) + conv(16, 32, 5) + dense(7 * 7 * 32, 512) + dense(512, 10),
    ),
    "simple cnn wide": (
        lambda: simple_cnn(MNIST, 10, sizes_of("wide")),
        MNIST,
        conv(1, 64, 5) + conv(64, 128, 5) + dense(7 * 7 * 128, 2048) + dense(2048, 10),
    ),
    "resnet8": (
        lambda: resnet8(3, 10),
        CIFAR,
        sum(conv(*ends, 3) for ends in RESNET8_CONVOLUTIONS) + dense(64, 10),
    ),
    "resnet8 batch": (
        lambda: resnet8(3, 10, norm="batch"),
        CIFAR,
        sum(conv(*ends, 3, bias=False) for ends in RESNET8_CONVOLUTIONS)
        + 2 * (16 + 16 + 16 + 32 + 32 + 64 + 64)
        + dense(64, 10),
    ),
    "resnet50": (lambda: resnet50(IMAGENET, 1000), IMAGENET, 25_557_032),
    "resnet50 small": (
        lambda: resnet50(CIFAR, 10),
        CIFAR,
        25_557_032 - dense(2048, 1000) + dense(2048, 10) - 3 * 64 * (49 - 9),
    ),
    "vgg11": (lambda: vgg11(IMAGENET, 1000), IMAGENET, 132_863_336),
    "vgg11 small": (
        lambda: vgg11(CIFAR, 10, dense=512),
        CIFAR,
        VGG_CONVOLUTIONS + 2 * dense(512, 512) + dense(512, 10),
    ),
    "alexnet": (
        lambda: alexnet(IMAGENET, 1000),
        IMAGENET,
        alexnet_convolutions(11) + dense(256 * 36, 4096) + dense(4096, 4096) + dense(4096, 1000),
    ),
    "alexnet small": (
        lambda: alexnet(CIFAR, 10, dense=1024),
        CIFAR,
        alexnet_convolutions(5) + dense(256 * 9, 1024) + dense(1024, 1024) + dense(1024, 10),
    ),
    "alexnet batch": (
        lambda: alexnet(CIFAR, 10, norm="batch", dense=1024),
        CIFAR,
        alexnet_convolutions(5)
        + 2 * (96 + 256 + 384 + 384 + 256)
        + dense(256 * 9, 1024)
        + dense(1024, 1024)
        + dense(1024, 10),
    ),
}


@pytest.mark.parametrize("name", COUNTS)
def test_a_network_has_its_papers_parameters_and_shape(name):
    make, image, parameters = COUNTS[name]
    with torch.device("meta"):
        model, images = make(), torch.empty(2, *image, dtype=torch.uint8)
    assert sum(p.numel() for p in model.parameters()) == parameters
    logits = model(images)
    assert logits.shape == (2, 1000 if image == IMAGENET else 10)
    logits.sum().backward()
    assert all(p.grad is not None for p in model.parameters())


def test_a_zero_gamma_makes_every_block_its_shortcut():
    images = torch.rand(2, 8, 4, 4)
    for zero, same in ((True, True), (False, False)):
        blocks = [
            layer
            for layer in resnet50(CIFAR, 10, width=2, zero_gamma=zero)
            if isinstance(layer, BottleneckBlock)
        ]
        assert len(blocks) == 16
        assert torch.equal(blocks[1].train()(images), images) is same


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: sizes_of("broad"), "`width` must be one of narrow, base, wide, got 'broad'"),
        (lambda: simple_cnn(MNIST, 10, (8, 8, 8), 1.0), r"`dropout` must lie in \[0, 1\), got 1"),
        (lambda: simple_cnn(MNIST, 10, (8, 0, 8)), r"at least 1, got \[8, 0, 8\]"),
        (lambda: simple_cnn((3, 3, 9), 10, (8, 8, 8)), "sides of at least 4 pixels, got 3x9"),
        (lambda: alexnet(CIFAR, 10, width=0), "`width` must be an integer of at least 1, got 0"),
        (lambda: alexnet(CIFAR, 10, dropout=1.0), r"`dropout` must lie in \[0, 1\), got 1"),
        (lambda: vgg11(CIFAR, 10, dense=0), "`dense` must be an integer of at least 1, got 0"),
        (lambda: vgg11(CIFAR, 10, dropout=-0.1), r"`dropout` must lie in \[0, 1\), got -0.1"),
        (lambda: resnet50(CIFAR, 10, width=0), "`width` must be an integer of at least 1, got 0"),
        (lambda: resnet50(CIFAR, 10, ghost=0), "`ghost` must be an integer of at least 1, got 0"),
        (lambda: resnet8(3, 10, (8, 4)), r"`widths` must be .* increasing order, got \[8, 4\]"),
        (lambda: resnet8(3, 10, (0, 4)), r"`widths` must be .* increasing order, got \[0, 4\]"),
        (lambda: resnet8(3, 10, ()), r"`widths` must be .* increasing order, got \[\]"),
        (lambda: alexnet((3, 8, 8), 10), "sides of at least 15 pixels, got 8x8"),
        (lambda: alexnet(CIFAR, 10, "ghost"), "must be one of local-response, batch, got 'ghost'"),
        (lambda: vgg11((3, 28, 32), 10), "sides of at least 32 pixels, got 28x32"),
    ],
)
def test_an_impossible_network_is_refused(make, message):
    with pytest.raises(WorkloadError, match=message):
        make()


def test_alexnet_takes_images_of_its_minimum_size():
    with torch.device("meta"):
        assert alexnet((3, 15, 15), 10)(torch.empty(1, 3, 15, 15)).shape == (1, 10)


def test_bytes_and_fractions_are_the_same_pixels():
    stored = torch.tensor([[0, 51, 255]], dtype=torch.uint8)
    torch.testing.assert_close(Pixels()(stored), torch.tensor([[-2.0, -1.2, 2.0]]))
    torch.testing.assert_close(Pixels()(stored / 255), Pixels()(stored))
