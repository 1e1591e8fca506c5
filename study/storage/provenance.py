"""Provenance: command, start and end, versions, machine and git commit of each sweep."""

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
"""Relative difference that rounding may cause in numbers of an untrained model, even in bf16."""
_PACKAGES = ("batchscale", "torch", "ray", "optuna", "numpy", "scipy", "pandas", "pyarrow")


def record_start(
    folder: ResultsFolder, resources: dict[str, Any], admission: dict[str, Any]
) -> None:
    """Add an entry for a sweep that starts.

    `resources` are its workers and devices, `admission` says how its workload trains and why.
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
    """Record the end of the latest sweep."""
    sweeps = recorded_sweeps(folder)
    sweeps[-1]["end"] = _now()
    _write(folder, sweeps)


def environment() -> dict[str, Any]:
    """Return the versions and the machine of this process, on which rounding may depend."""
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
    """Return how this environment differs from those of a folder's sweeps, one phrase each.

    What a sweep did not record is not compared.
    """
    current = _flat(environment())
    recorded: dict[str, set[str]] = {}
    for sweep in recorded_sweeps(folder):
        for name, value in _flat(sweep).items():
            if name in current:
                recorded.setdefault(name, set()).add(value)
    return [
        f"{name} {current[name]}, recorded with {' and '.join(sorted(values))}"
        for name, values in recorded.items()
        if values != {current[name]}
    ]


def changed_files(folder: ResultsFolder, files: Mapping[str, str]) -> list[str]:
    """Return how a program's files, SHA-256 by name, differ from those of the latest sweep."""
    recorded = _latest(folder, "admission").get("files", {})
    return [f"{name} has changed" for name in recorded if files.get(name) != recorded[name]]


def changed_workload(folder: ResultsFolder, current: Mapping[str, Any]) -> list[str]:
    """Return how a workload's fingerprint differs from the latest sweep's, one phrase each.

    Digests of data, if any, count only if the machine and all versions are the same: elsewhere
    computed data may be rounded differently.
    """
    recorded = _latest(folder, "admission").get("workload") or {"data": {}, "start": {}}
    start = recorded["start"]
    changes = [
        f"{name} {number:.6g}, recorded with {start[name]:.6g}"
        for name, number in current["start"].items()
        if name in start and not _alike(number, start[name])
    ]
    if current["data"] and not differences(folder):
        differing = recorded["data"].items() - current["data"].items()
        changes += [f"other {name} data" for name, _ in differing]
    return changes


def _alike(one: float, other: float) -> bool:
    return one == other or (isinstance(one, float) and math.isclose(one, other, rel_tol=_ROUNDED))


def used_gpus(folder: ResultsFolder) -> bool:
    """Return whether the latest sweep trained on GPUs."""
    return bool(_latest(folder, "resources").get("gpus_per_worker"))


def _latest(folder: ResultsFolder, key: str) -> dict[str, Any]:
    """Return what the latest sweep recorded under a key; empty if it recorded nothing."""
    sweeps = recorded_sweeps(folder)
    entry: dict[str, Any] = sweeps[-1].get(key, {}) if sweeps else {}
    return entry


def _flat(entry: Mapping[str, Any]) -> dict[str, str]:
    """Return the environment of a sweep's entry as one flat mapping."""
    parts = {**entry.get("packages", {}), **entry.get("machine", {})}
    if "python" in entry:
        parts["python"] = entry["python"]
    return {name: str(value) for name, value in parts.items()}


def recorded_sweeps(folder: ResultsFolder) -> list[dict[str, Any]]:
    """Return the entries of all sweeps of a folder, oldest first; none without a record."""
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
    """Return the commit of the running code; None outside a checkout."""
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
