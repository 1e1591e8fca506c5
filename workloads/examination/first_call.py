"""What a workload fills in at its first call: a constant, or numbers of the batch that it was."""

import copy
from collections import deque
from collections.abc import Callable
from contextlib import suppress

from workloads.errors import WorkloadError
from workloads.examination.python_state import changed, snapshot
from workloads.workload import Workload


class FirstCall:
    """A workload before its first call, and a copy of it that is not called with it."""

    def __init__(self, workload: Workload) -> None:
        """Keep the workload as it is now."""
        self._workload = workload
        self._copy: Workload | None = None
        with suppress(Exception):  # its own, as a __getattr__ that needs what __init__ sets
            self._copy = copy.copy(workload)
        for name, member in list(getattr(self._copy, "__dict__", {}).items()):
            if isinstance(member, dict | list | set | deque):
                setattr(self._copy, name, copy.copy(member))
        self._before = snapshot(workload=workload)

    def require_constant(self, call: Callable[[Workload], object]) -> None:
        """Refuse a workload whose first call keeps something of its batch for all trials.

        `call` is given the copy, to call it on other examples; only where something was kept.

        Raises:
            WorkloadError: workload and copy have kept different values.
        """
        if not changed(self._before, snapshot(workload=self._workload)):
            return
        if self._copy is None:
            raise WorkloadError(
                "a workload that keeps something from its first call must be one that copy.copy() "
                "copies, but it fails; keep nothing, or let its __getattr__ raise AttributeError"
            )
        call(self._copy)
        kept = changed(snapshot(workload=self._workload), snapshot(workload=self._copy))
        if kept:
            raise WorkloadError(
                "what a workload keeps from its first call must not depend on the batch, since "
                f"all trials share it, but {min(kept)} does; compute it in data() from all "
                "examples, or keep it in the model, which each trial has of its own"
            )
