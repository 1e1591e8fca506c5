"""Initial weights that keep the scale of the signal through ReLUs."""

from torch import nn


def he_initialised(network: nn.Sequential) -> nn.Sequential:
    """Return a network with weights from Gaussians of variance 2 / inputs (He et al. 2015).

    Torch's default variance, 1 / (3 inputs), lets the signal of a deep network without
    normalization vanish. Biases become zero; the last layer, of the logits, is left as it is.
    """
    layers = [layer for layer in network.modules() if isinstance(layer, nn.Conv2d | nn.Linear)]
    for layer in layers[:-1]:
        nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)
    return network
