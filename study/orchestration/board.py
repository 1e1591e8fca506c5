"""What a sweep and its workers under Ray tell each other: keys in Ray's own store.

A worker looks at a key far more cheaply than at a file, which may be in an object store.
"""

import json
import time
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from uuid import uuid4

from ray.experimental import internal_kv

from study.records import Lap

_LOOK_SECONDS = 0.5
_NAMESPACE = "batchscale"


class Board:
    """How far the workers of a sweep are, as they told last, and whether they are to stop."""

    def __init__(self) -> None:
        sweep = uuid4().hex
        self._laps, self._stop = f"{sweep}-lap-", f"{sweep}-stop"
        self._prefix, self._looked, self._seen = sweep, 0.0, False

    def laps(self) -> list[Lap]:
        """Return how far cohorts in training are; none where Ray does not answer."""
        try:
            keys = internal_kv._internal_kv_list(self._laps, namespace=_NAMESPACE)  # noqa: SLF001
            texts = [internal_kv._internal_kv_get(key, namespace=_NAMESPACE) for key in keys]  # noqa: SLF001
        except Exception:  # noqa: BLE001 - Ray starts or ends, which must not end the display
            return []
        return [Lap(**json.loads(text)) for text in texts if text]

    def teller(self) -> Callable[[Lap | None], None]:
        """Return what a worker reports with; its key is empty while it trains nothing."""
        return partial(_tell, f"{self._laps}{uuid4().hex}")

    def stop(self) -> None:
        """Tell every worker, also on other machines, to save what it trains and to stop."""
        internal_kv._internal_kv_put(self._stop, b"1", namespace=_NAMESPACE)  # noqa: SLF001

    def stopping(self) -> bool:
        """Return whether a worker is to stop, by a look at most every half second."""
        now = time.monotonic()
        if not self._seen and now - self._looked >= _LOOK_SECONDS:
            self._looked, self._seen = now, _exists(self._stop)
        return self._seen

    def clear(self) -> None:
        """Remove the keys from Ray, which may outlive the sweep."""
        internal_kv._internal_kv_del(  # noqa: SLF001
            self._prefix, del_by_prefix=True, namespace=_NAMESPACE
        )


def _tell(key: str, lap: Lap | None) -> None:
    text = b"" if lap is None else json.dumps(asdict(lap)).encode()
    try:
        internal_kv._internal_kv_put(key, text, namespace=_NAMESPACE)  # noqa: SLF001
    except Exception:  # noqa: BLE001 - Ray is ending, which must not fail the trial
        return


def _exists(key: str) -> bool:
    try:
        return bool(internal_kv._internal_kv_exists(key, namespace=_NAMESPACE))  # noqa: SLF001
    except Exception:  # noqa: BLE001 - Ray is ending, which must not count as a failed trial
        return False
