"""Initial weights that keep the signal's size through ReLUs."""

from torch import nn


def he_initialised(network: nn.Sequential) -> nn.Sequential:
    """Draws a network's weights from Gaussians of variance 2 / inputs (He et al. 2015).

    Torch's own, of variance 1 / (3 inputs), let the signal of a deep network without normalisation
    die out.

    Args:
        network: of convolutions and dense layers; the last dense layer, of the logits, is left as
            it is.

    Returns:
        The same network, biases zero.
    """
    layers = [layer for layer in network.modules() if isinstance(layer, nn.Conv2d | nn.Linear)]
    for layer in layers[:-1]:
        nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)
    return network
