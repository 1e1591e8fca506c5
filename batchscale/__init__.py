"""How many optimizer steps does training need to reach a target error as the batch size grows?

The Python interface of batchscale: run sweeps, load and compare their results, fit numbers of your
own, write workloads, and report from programs. Names are imported on first use, so
`import batchscale` is fast and needs neither torch nor Ray.
"""

import importlib
from typing import TYPE_CHECKING, Any

from batchscale.errors import BatchscaleError
from batchscale.reporting import Trial, report, trial

if TYPE_CHECKING:
    from batchscale.comparing import StudyComparison, compare
    from batchscale.fitting import StepsFit, fit
    from batchscale.importing import import_runs
    from batchscale.loading import Study, load
    from batchscale.sweeping import sweep
    from workloads import (
        Data,
        Dynamics,
        Examples,
        Items,
        Lanes,
        LaneSetup,
        Model,
        Target,
        Workload,
        WorkloadError,
    )

    __version__: str

_MODULES = {
    "StudyComparison": "batchscale.comparing",
    "compare": "batchscale.comparing",
    "StepsFit": "batchscale.fitting",
    "fit": "batchscale.fitting",
    "import_runs": "batchscale.importing",
    "Study": "batchscale.loading",
    "load": "batchscale.loading",
    "sweep": "batchscale.sweeping",
}
"""Module of each name that is imported on first use; `workloads` has the others."""

__all__ = [
    "BatchscaleError",
    "Data",
    "Dynamics",
    "Examples",
    "Items",
    "LaneSetup",
    "Lanes",
    "Model",
    "StepsFit",
    "Study",
    "StudyComparison",
    "Target",
    "Trial",
    "Workload",
    "WorkloadError",
    "__version__",
    "compare",
    "fit",
    "import_runs",
    "load",
    "report",
    "sweep",
    "trial",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("batchscale")
    if name not in __all__:
        raise AttributeError(f"module 'batchscale' has no attribute {name!r}")
    from batchscale.packages import find_clash

    clash = find_clash()
    if clash is not None:
        raise ImportError(clash)
    value = getattr(importlib.import_module(_MODULES.get(name, "workloads")), name)
    globals()[name] = value  # later uses do not call this function
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
