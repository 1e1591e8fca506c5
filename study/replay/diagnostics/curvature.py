"""The largest eigenvalues of the Hessian by Lanczos, and its trace by Hutchinson.

The Hessian is that of the training loss at one moment, without weight decay, batch statistics
fixed. The product of learning rate and largest eigenvalue stands beside the value at which plain
descent on a quadratic becomes unstable: 2, with momentum m 2 (1 + m), and in Nesterov's form
2 (1 + m) / (1 + 2 m) (Cohen et al. 2021, arXiv:2103.00065). For other update rules none is given.
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
"""Random vectors of the trace, from what the eigenvectors leave."""
PARTS = 16
"""Parts of the sample whose eigenvalues show how far those of all training examples may lie."""
_TOLERANCE = 1e-4
_LIMITS: Mapping[str, Callable[[float], float]] = {
    "sgd": lambda momentum: 2.0,
    "heavy-ball": lambda momentum: 2 * (1 + momentum),
    "nesterov": lambda momentum: 2 * (1 + momentum) / (1 + 2 * momentum),
}
"""Learning rate times eigenvalue at which an update rule is no longer stable."""


def curvature(network: Network) -> Iterator[Row]:
    """Yield eigenvalues, trace and the product with the learning rate."""
    values, vectors = _largest(network)
    about, lr = {"examples": network.sample.train.size}, network.weights.lr
    pairs = zip(values, vectors.T, strict=True)
    doubts = [_doubt(network, value, vector) for value, vector in pairs]
    for place, (value, far) in enumerate(zip(values, doubts, strict=True), 1):
        yield row("eigenvalue", value, variant=str(place), far=far, **about)
    trace, far = _trace(network, values, vectors)
    yield row("trace", trace, far=far, samples=PROBES, **about)
    ends = {"low": lr * (values[0] - doubts[0]), "high": lr * (values[0] + doubts[0])}
    yield row("lr_times_eigenvalue", lr * values[0], **ends, **about)
    limit = _LIMITS.get(network.resolved.optimizer)
    if limit is not None:
        yield row("stability_limit", limit(network.trial.point.values.get("momentum", 0.0)))


def _largest(network: Network) -> tuple[Floats, Floats]:
    """Return the largest eigenvalues, falling, and their eigenvectors as columns."""
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
    falling = np.argsort(values)[::-1][:EIGENVALUES]
    return values[falling], vectors[:, falling]


def _doubt(network: Network, value: float, vector: Floats) -> float:
    """Return how far an eigenvalue of all training examples may lie from the one computed.

    It is the residual, within which an eigenvalue of the sample lies, and the error of the sample
    to first order: the spread of v'Hv between parts of it.
    """
    like = network.weights.parameters
    along = torch.from_numpy(vector.copy()).to(like)
    product = network.hessian_times(along)
    residual = float((product.double() - value * along.double()).norm())
    sample, left = network.sample.train, 1 - network.sample.share
    if left == 0 or network.loaded.whole or sample.size < PARTS:
        return residual
    size = sample.size // PARTS
    parts = [sample.rows(slice(k * size, (k + 1) * size)) for k in range(PARTS)]
    quotients = [float(along @ network.hessian_times(along, part)) for part in parts]
    return residual + float(reach(np.array(quotients)) * left**0.5)


def _trace(network: Network, values: Floats, vectors: Floats) -> tuple[float, float]:
    """Return the trace and how far its 95 % interval reaches, over the probes.

    The eigenvectors count exactly and are projected out of the probes, as in Hutch++ (Meyer et al.
    2021, arXiv:2010.09649), for most of the variance is theirs.
    """
    like = network.weights.parameters
    basis = torch.from_numpy(vectors.copy()).to(like)
    source = generator(network.seed("hutchinson"), "probes")
    found = []
    for _ in range(PROBES):
        probe = (torch.randint(2, (len(like),), generator=source) * 2.0 - 1.0).to(like)
        probe -= basis @ (basis.T @ probe)
        found.append(float(probe.double() @ network.hessian_times(probe).double()))
    return float(values.sum() + np.mean(found)), float(reach(np.array(found)))
