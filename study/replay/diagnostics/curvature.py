"""The largest eigenvalues of the Hessian by Lanczos, and its trace by Hutchinson.

The Hessian is of the training loss at one moment, without weight decay and with batch statistics
fixed. The product of learning rate and largest eigenvalue is given with the limit at which descent
on a quadratic becomes unstable: 2, with momentum m 2 (1 + m), and with Nesterov momentum
2 (1 + m) / (1 + 2 m) (Cohen et al. 2021, arXiv:2103.00065). Other update rules have no limit here.
"""

from collections.abc import Callable, Iterator, Mapping

import numpy as np
import torch
from scipy.sparse.linalg import ArpackError, LinearOperator, eigsh

from study.errors import StudyError, cause
from study.records import Floats
from study.replay.diagnostics.intervals import reach
from study.replay.diagnostics.network import Network, Row, row
from study.seeding import generator

EIGENVALUES = 5
PROBES = 32
"""Random vectors for the trace, orthogonal to the eigenvectors."""
PARTS = 16
"""Parts of the sample, whose spread bounds the eigenvalues over all training examples."""
_TOLERANCE = 1e-4
_LIMITS: Mapping[str, Callable[[float], float]] = {
    "sgd": lambda momentum: 2.0,
    "heavy-ball": lambda momentum: 2 * (1 + momentum),
    "nesterov": lambda momentum: 2 * (1 + momentum) / (1 + 2 * momentum),
}
"""Learning rate times eigenvalue at which an update rule becomes unstable."""


def curvature(network: Network) -> Iterator[Row]:
    """Yield eigenvalues, trace and the product with the learning rate."""
    values, vectors = _largest(network)
    examples, lr = network.sample.train.size, network.weights.lr
    pairs = zip(values, vectors.T, strict=True)
    errors = [_error_bound(network, value, vector) for value, vector in pairs]
    for rank, (value, far) in enumerate(zip(values, errors, strict=True), 1):
        yield row("eigenvalue", value, variant=str(rank), far=far, examples=examples)
    trace, far = _trace(network, values, vectors)
    yield row("trace", trace, far=far, samples=PROBES, examples=examples)
    low, high = lr * (values[0] - errors[0]), lr * (values[0] + errors[0])
    yield row("lr_times_eigenvalue", lr * values[0], low=low, high=high, examples=examples)
    limit = _LIMITS.get(network.resolved.optimizer)
    if limit is not None:
        yield row("stability_limit", limit(network.trial.point.values.get("momentum", 0.0)))


def _largest(network: Network) -> tuple[Floats, Floats]:
    """Return the largest eigenvalues, descending, and their eigenvectors as columns."""
    size = len(network.weights.parameters)

    def times(vector: Floats) -> Floats:
        like = network.weights.parameters
        tensor = torch.from_numpy(np.asarray(vector).ravel()).to(like)
        product: Floats = network.hessian_times(tensor).double().cpu().numpy()
        return product

    if size <= 2 * EIGENVALUES:
        values, vectors = np.linalg.eigh(np.array([times(unit) for unit in np.eye(size)]))
    else:
        start = torch.randn(size, generator=generator(network.seed("lanczos"), "start")).numpy()
        operator = LinearOperator((size, size), matvec=times, dtype=np.float64)
        try:
            values, vectors = eigsh(operator, EIGENVALUES, which="LA", v0=start, tol=_TOLERANCE)
        except ArpackError as error:
            raise StudyError(
                f"the eigenvalues of the Hessian at batch size {network.trial.batch_size} were not "
                f"found: {cause(error)}; leave curvature out of --what"
            ) from error
    descending = np.argsort(values)[::-1][:EIGENVALUES]
    return values[descending], vectors[:, descending]


def _error_bound(network: Network, value: float, vector: Floats) -> float:
    """Return how far an eigenvalue over all training examples may be from the one computed.

    It is the residual, which bounds the error on the sample, plus the sampling error to first
    order: the spread of v'Hv between parts of the sample.
    """
    v = torch.from_numpy(vector.copy()).to(network.weights.parameters)
    residual = float((network.hessian_times(v).double() - value * v.double()).norm())
    sample, unseen = network.sample.train, 1 - network.sample.share
    if unseen == 0 or network.loaded.whole or sample.size < PARTS:
        return residual
    size = sample.size // PARTS
    parts = [sample.rows(slice(k * size, (k + 1) * size)) for k in range(PARTS)]
    quotients = [float(v @ network.hessian_times(v, part)) for part in parts]
    return residual + float(reach(np.array(quotients)) * unseen**0.5)


def _trace(network: Network, values: Floats, vectors: Floats) -> tuple[float, float]:
    """Return the trace and the half-width of its 95 % interval over the probes.

    The eigenvectors contribute exactly and are projected out of the probes, as in Hutch++ (Meyer et
    al. 2021, arXiv:2010.09649), because they cause most of the variance.
    """
    like = network.weights.parameters
    basis = torch.from_numpy(vectors.copy()).to(like)
    source = generator(network.seed("hutchinson"), "probes")
    products = []
    for _ in range(PROBES):
        probe = (torch.randint(2, (len(like),), generator=source) * 2.0 - 1.0).to(like)
        probe -= basis @ (basis.T @ probe)
        products.append(float(probe.double() @ network.hessian_times(probe).double()))
    return float(values.sum() + np.mean(products)), float(reach(np.array(products)))
