"""What a workload stores at its first call: a constant, or values that depend on the batch."""

import copy
from collections import deque
from collections.abc import Callable
from contextlib import suppress

from workloads.errors import WorkloadError
from workloads.examination.python_state import changed, snapshot
from workloads.workload import Workload


class FirstCall:
    """The state of a workload before its first call, and a copy that does not see that call."""

    def __init__(self, workload: Workload) -> None:
        """Copy the workload as it is now."""
        self._workload = workload
        self._copy: Workload | None = None
        with suppress(Exception):  # such as a __getattr__ that needs what __init__ sets
            self._copy = copy.copy(workload)
        for name, member in list(getattr(self._copy, "__dict__", {}).items()):
            if isinstance(member, dict | list | set | deque):
                setattr(self._copy, name, copy.copy(member))
        self._before = snapshot(workload=workload)

    def require_constant(self, call: Callable[[Workload], object]) -> None:
        """Refuse a workload whose first call stores values that depend on the batch.

        If the call stored anything, `call` calls the copy on other examples.

        Raises:
            WorkloadError: the workload and its copy have stored different values.
        """
        if not changed(self._before, snapshot(workload=self._workload)):
            return
        if self._copy is None:
            raise WorkloadError(
                "a workload that keeps something from its first call must work with copy.copy(), "
                "which fails; keep nothing, or let its __getattr__ raise AttributeError"
            )
        call(self._copy)
        kept = changed(snapshot(workload=self._workload), snapshot(workload=self._copy))
        if kept:
            raise WorkloadError(
                "what a workload keeps from its first call must not depend on the batch, since "
                f"all trials share it, but {min(kept)} does; compute it in data() from all "
                "examples, or keep it in the model, of which each trial has its own"
            )
