"""Stopping a sweep: every worker saves the cohort that it trains, and goes no further."""

import time
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from ray import tune
from ray.experimental import internal_kv

if TYPE_CHECKING:
    from study.orchestration.dispatch import Dispatch
    from study.orchestration.signals import Stop

SAVING_SECONDS = 10.0
"""Time in which cohorts may save themselves or end; Tune then gives workers ten seconds more."""
_LOOK_SECONDS = 0.5
_NAMESPACE = "batchscale"


class StopSign:
    """A sign that the driver puts up and every worker sees, also on other machines.

    It is a key in Ray's own store, which costs a worker far less to look at than a file would in an
    object store.
    """

    def __init__(self) -> None:
        """Name the sign; it is not up yet."""
        self._key = f"stop-{uuid4().hex}"
        self._looked = 0.0
        self._seen = False

    def put_up(self) -> None:
        """Tell every worker to save what it trains and to stop."""
        internal_kv._internal_kv_put(self._key, b"1", namespace=_NAMESPACE)  # noqa: SLF001

    def take_down(self) -> None:
        """Remove the sign from Ray, which may outlive the sweep."""
        internal_kv._internal_kv_del(self._key, namespace=_NAMESPACE)  # noqa: SLF001

    def seen(self) -> bool:
        """Return whether the sign is up, by a look at most every half second."""
        now = time.monotonic()
        if not self._seen and now - self._looked >= _LOOK_SECONDS:
            self._looked = now
            self._seen = _is_up(self._key)
        return self._seen


class Ending(tune.Stopper):
    """Ends a run of Tune on request, once every cohort in training is saved or has ended."""

    def __init__(self, stop: "Stop", sign: StopSign, dispatch: "Dispatch") -> None:
        """Watch for a request.

        Args:
            stop: the request.
            sign: is put up as soon as the request came.
            dispatch: hands out no cohort from then on.
        """
        self._stop, self._sign, self._dispatch = stop, sign, dispatch
        self._since: float | None = None

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        """Return False: no single cohort is stopped."""
        return False

    def __getstate__(self) -> dict[str, Any]:
        """Return nothing: Tune pickles it for a restore that is never asked for."""
        return {}

    def stop_all(self) -> bool:
        """Return whether the time for saving is over; with nothing in training Tune ends before."""
        if not self._stop.requested:
            return False
        if self._since is None:
            self._since = time.monotonic()
            self._dispatch.close()
            self._sign.put_up()
        return time.monotonic() - self._since > SAVING_SECONDS


def _is_up(key: str) -> bool:
    try:
        return bool(internal_kv._internal_kv_exists(key, namespace=_NAMESPACE))  # noqa: SLF001
    except Exception:  # noqa: BLE001 - Ray is ending, which must not count as a failed trial
        return False
