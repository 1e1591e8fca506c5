"""The workloads that come with batchscale; named here, imported when asked for."""

from collections.abc import Mapping

BUILTIN: Mapping[str, tuple[str, str]] = {
    "digits-mlp": (
        "workloads.classification:DigitsMLP",
        "scikit-learn's 8x8 handwritten digits, small fully connected network",
    ),
    "fashion-mnist-mlp": (
        "workloads.classification:FashionMnistMLP",
        "Fashion-MNIST from idx files, fully connected network",
    ),
    "noisy-quadratic": (
        "workloads.quadratic:NoisyQuadratic",
        "noisy quadratic model, exact expected loss (Zhang et al. 2019)",
    ),
}
"""Name to (module:attribute, what it is)."""
