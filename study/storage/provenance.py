"""Provenance of results: command, start and end, versions, machine and git commit of each sweep."""

import json
import math
import platform
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from analysis.tables.files import as_written, json_bytes, read_file, write_file
from analysis.tables.folder import ResultsFolder
from analysis.tables.schema import PROVENANCE_FILE, SCHEMA_VERSION
from batchscale.errors import redacted

_ROUNDED = 1e-2
"""Relative difference that rounding makes in numbers of an untrained model, in bf16 too."""
_PACKAGES = ("batchscale", "torch", "ray", "optuna", "numpy", "scipy", "pandas", "pyarrow")


def record_start(
    folder: ResultsFolder, resources: dict[str, Any], admission: dict[str, Any]
) -> None:
    """Add an entry for a sweep that starts.

    `resources` are its workers and devices, `admission` what was found about its workload.
    """
    sweeps = recorded_sweeps(folder)
    sweeps.append(
        {
            "command": ["batchscale", *map(redacted, sys.argv[1:])],
            "start": _now(),
            "end": None,
            "resources": resources,
            "admission": admission,
            **environment(),
            "git": _git_state(),
        }
    )
    _write(folder, sweeps)


def record_end(folder: ResultsFolder) -> None:
    """Record the end of the latest sweep into the folder."""
    sweeps = recorded_sweeps(folder)
    sweeps[-1]["end"] = _now()
    _write(folder, sweeps)


def environment() -> dict[str, Any]:
    """Return versions and machine of this process: what rounding may depend on."""
    return {
        "packages": {name: version(name) for name in _PACKAGES},
        "python": platform.python_version(),
        "machine": {
            "system": platform.platform(),
            "processor": platform.machine(),
            "vector_instructions": torch.backends.cpu.get_cpu_capability(),
            "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu",
        },
    }


def differences(folder: ResultsFolder) -> list[str]:
    """Return how this environment differs from that of a folder's sweeps, one phrase each.

    What a sweep did not record is not compared.
    """
    now = _flat(environment())
    then: dict[str, set[str]] = {}
    for sweep in recorded_sweeps(folder):
        for name, value in _flat(sweep).items():
            if name in now:
                then.setdefault(name, set()).add(value)
    return [
        f"{name} {now[name]}, recorded with {' and '.join(sorted(values))}"
        for name, values in then.items()
        if values != {now[name]}
    ]


def changed_files(folder: ResultsFolder, files: Mapping[str, str]) -> list[str]:
    """Return how a program's files, SHA-256 by name, differ from those of the latest sweep."""
    then = _latest(folder, "admission").get("files", {})
    return [f"{name} has changed" for name in then if files.get(name) != then[name]]


def changed_workload(folder: ResultsFolder, found: Mapping[str, Any]) -> list[str]:
    """Return how a workload differs by its fingerprint from the latest sweep's, one phrase each.

    Digests of data, if any, count only where the machine and all versions are the same: data that
    are computed may be rounded otherwise elsewhere.
    """
    then = _latest(folder, "admission").get("workload") or {"data": {}, "start": {}}
    other = [
        f"{name} {now:.6g}, recorded with {then['start'][name]:.6g}"
        for name, now in found["start"].items()
        if name in then["start"] and not _alike(now, then["start"][name])
    ]
    if found["data"] and not differences(folder):
        same = found["data"].items() & then["data"].items()
        other += [f"{name} data" for name, _ in then["data"].items() - same]
    return other


def _alike(now: float, then: float) -> bool:
    return now == then or (isinstance(now, float) and math.isclose(now, then, rel_tol=_ROUNDED))


def used_gpus(folder: ResultsFolder) -> bool:
    """Return whether the latest sweep into a folder trained on GPUs."""
    return bool(_latest(folder, "resources").get("gpus_per_worker"))


def _latest(folder: ResultsFolder, key: str) -> dict[str, Any]:
    """Return what the latest sweep recorded under a key; empty where it recorded nothing."""
    sweeps = recorded_sweeps(folder)
    found: dict[str, Any] = sweeps[-1].get(key, {}) if sweeps else {}
    return found


def _flat(entry: Mapping[str, Any]) -> dict[str, str]:
    """Return the environment of a sweep's entry as one flat mapping."""
    parts = {**entry.get("packages", {}), **entry.get("machine", {})}
    if "python" in entry:
        parts["python"] = entry["python"]
    return {name: str(value) for name, value in parts.items()}


def recorded_sweeps(folder: ResultsFolder) -> list[dict[str, Any]]:
    """Return the entries of all sweeps into a folder, the first one first; none without a record.

    Raises:
        AnalysisError: the record is not as batchscale wrote it.
    """  # noqa: DOC502  (raised inside)
    if not folder.exists(PROVENANCE_FILE):
        return []
    content = read_file(folder, PROVENANCE_FILE)
    with as_written(folder, PROVENANCE_FILE):
        return [dict(sweep) for sweep in json.loads(content)["sweeps"]]


def _write(folder: ResultsFolder, sweeps: list[dict[str, Any]]) -> None:
    content = {"schema_version": SCHEMA_VERSION, "sweeps": sweeps}
    write_file(folder, PROVENANCE_FILE, json_bytes(content))


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _git_state() -> dict[str, Any] | None:
    """Return the commit of the running code; None where it does not run from a checkout."""
    here = Path(__file__).parent
    try:
        commit = _git(here, "rev-parse", "HEAD")
        return {"commit": commit, "dirty": bool(_git(here, "status", "--porcelain"))}
    except (OSError, subprocess.CalledProcessError):
        return None


def _git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", *arguments], cwd=folder, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()
