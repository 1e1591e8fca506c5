"""Where workers under Ray tell how far they are: keys in Ray's own store, one for each worker."""

import json
from collections.abc import Callable
from dataclasses import asdict
from uuid import uuid4

from ray.experimental import internal_kv

from study.records import Lap

_NAMESPACE = "batchscale"


class Board:
    """What the workers of a sweep told last; nothing depends on it but the display."""

    def __init__(self) -> None:
        """Name the keys; there are none yet."""
        self._prefix = f"lap-{uuid4().hex}-"

    def laps(self) -> list[Lap]:
        """Return how far cohorts in training are; none where Ray does not answer."""
        try:
            keys = internal_kv._internal_kv_list(self._prefix, namespace=_NAMESPACE)  # noqa: SLF001
            texts = [internal_kv._internal_kv_get(key, namespace=_NAMESPACE) for key in keys]  # noqa: SLF001
        except Exception:  # noqa: BLE001 - Ray starts or ends, which must not end the display
            return []
        return [Lap(**json.loads(text)) for text in texts if text]

    def teller(self) -> Callable[[Lap | None], None]:
        """Return what a worker tells with; its key is empty while it trains nothing."""
        key = f"{self._prefix}{uuid4().hex}"

        def tell(lap: Lap | None) -> None:
            text = b"" if lap is None else json.dumps(asdict(lap)).encode()
            try:
                internal_kv._internal_kv_put(key, text, namespace=_NAMESPACE)  # noqa: SLF001
            except Exception:  # noqa: BLE001 - Ray is ending, which must not fail the trial
                return

        return tell

    def clear(self) -> None:
        """Remove the keys from Ray, which may outlive the sweep."""
        internal_kv._internal_kv_del(  # noqa: SLF001
            self._prefix, del_by_prefix=True, namespace=_NAMESPACE
        )
