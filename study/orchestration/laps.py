"""How far the workers of a sweep are: each tells it after laps, and the driver shows it."""

import json
import time
from dataclasses import asdict, dataclass
from uuid import uuid4

from ray.experimental import internal_kv

from study.engine.race import Race

_TELL_SECONDS = 1.0
_NAMESPACE = "batchscale"


@dataclass(frozen=True, kw_only=True, slots=True)
class Lap:
    """How far a worker is.

    Attributes:
        batch_size: of the cohort that it trains, or trained last.
        share: share of that cohort's race that is over, from 0 to 1.
        loss: lowest validation loss in the last lap; None where there was none.
        steps: steps that it has trained since it started, added up over trials.
    """

    batch_size: int
    share: float
    loss: float | None
    steps: int


class Board:
    """Where workers tell how far they are: keys in Ray's own store, one for each worker."""

    def __init__(self) -> None:
        """Name the keys; there are none yet."""
        self._prefix = f"laps-{uuid4().hex}-"

    def read(self) -> list[Lap]:
        """Return what each worker told last, in no order; none where Ray does not answer."""
        try:
            keys = internal_kv._internal_kv_list(self._prefix, namespace=_NAMESPACE)  # noqa: SLF001
            texts = [internal_kv._internal_kv_get(key, namespace=_NAMESPACE) for key in keys]  # noqa: SLF001
        except Exception:  # noqa: BLE001 - Ray starts or ends, which must not stop the display
            return []
        return [Lap(**json.loads(text)) for text in texts if text is not None]

    def put(self, worker: str, lap: Lap) -> None:
        """Replace what a worker told last."""
        text = json.dumps(asdict(lap)).encode()
        try:
            internal_kv._internal_kv_put(  # noqa: SLF001
                f"{self._prefix}{worker}", text, namespace=_NAMESPACE
            )
        except Exception:  # noqa: BLE001 - Ray is ending, which must not count as a failed trial
            return

    def clear(self) -> None:
        """Remove the keys from Ray, which may outlive the sweep."""
        internal_kv._internal_kv_del(  # noqa: SLF001
            self._prefix, del_by_prefix=True, namespace=_NAMESPACE
        )


class Teller:
    """Tells the board how far a worker is, at most once a second.

    Attributes:
        batch_size: of the cohort that the worker trains.
    """

    def __init__(self, board: Board) -> None:
        """Start with no step trained."""
        self.batch_size = 0
        self._board, self._worker = board, uuid4().hex
        self._race: Race | None = None
        self._step, self._steps, self._told = 0, 0, 0.0

    def __call__(self, race: Race) -> None:
        """Take note of a lap."""
        if race is not self._race:  # one that was resumed may begin at a later step
            self._race, self._step = race, race.step
        self._steps += (race.step - self._step) * race.racing
        self._step = race.step
        now = time.monotonic()
        if now - self._told < _TELL_SECONDS:
            return
        self._told, loss = now, race.least_loss
        lap = Lap(
            batch_size=self.batch_size,
            share=race.share,
            loss=None if loss != loss else loss,  # NaN is no JSON
            steps=self._steps,
        )
        self._board.put(self._worker, lap)
