"""Checkpoints: the state of a cohort in training, as a file of the results folder.

They are only a cache: if one is unusable, its cohort trains from the start, and a note reports it.
A file is a line of JSON, with a digest of what the state belongs to, then tensors and plain values
from `torch.save`; they are read as data, never as code.
"""

import hashlib
import io
import json
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from analysis.errors import AnalysisError
from analysis.tables.folder import ResultsFolder
from study.config.study import ResolvedStudy
from study.records import Cohort

CHECKPOINTS = "checkpoints"
FORMAT = 4
"""Raised where a state would go on otherwise than the release that wrote it, to the last bit."""
_HEADER = 256
"""Length of the line of JSON in bytes, padded with blanks."""


class SavedError(Exception):
    """The training of a cohort ended early because a stop was asked for; its state is saved."""


class Checkpoint:
    """The checkpoint of a cohort, or of half of one whose lanes are trained separately."""

    def __init__(
        self, folder: ResultsFolder, stem: str, resolved: ResolvedStudy, cohort: Cohort, device: str
    ) -> None:
        """Name the file `stem`.pt and what it belongs to, without reading it."""
        # returns whether training is to end as soon as its state is saved
        self.stopping: Callable[[], bool] = lambda: False
        self._folder, self._stem, self._resolved, self._device = folder, stem, resolved, device
        self._name = f"{CHECKPOINTS}/{stem}.pt"
        self._binding = _binding(resolved, cohort, device)
        self._written = time.monotonic()
        self.notes: list[str] = []  # sentences to report about it and its halves
        self._files: set[str] = set()

    def half(self, which: str, cohort: Cohort) -> "Checkpoint":
        """Return the checkpoint of half of the lanes, `a` or `b`; it is removed with this one."""
        half = Checkpoint(
            self._folder, f"{self._stem}-{which}", self._resolved, cohort, self._device
        )
        half.notes, half._files, half.stopping = self.notes, self._files, self.stopping
        return half

    @property
    def due(self) -> bool:
        """Whether `compute.checkpoint_minutes` have passed since the last write."""
        minutes = self._resolved.compute.checkpoint_minutes
        return 0 < 60 * minutes <= time.monotonic() - self._written

    def keep(self, step: int, state: Callable[[], Mapping[str, Any]]) -> None:
        """Write a state if a checkpoint is due, or at a stop unless the study has none.

        Raises:
            SavedError: a stop is asked for, and the checkpoint is written.
        """
        stopping = self._resolved.compute.checkpoint_minutes > 0 and self.stopping()
        if stopping or self.due:
            self.write(state())
        if stopping:
            self.note(f"was written at step {step:,}, to resume from")
            raise SavedError

    def write(self, state: Mapping[str, Any]) -> None:
        """Write a state of tensors and plain values atomically; a failure becomes a note."""
        try:
            self._folder.write(self._name, _encode(state, self._binding))
            self._files.add(self._name)
        except Exception as error:  # noqa: BLE001 - a cache must not end the training that it saves
            self.note(f"could not be written, {type(error).__name__}: {error}")
        self._written = time.monotonic()

    def read(self) -> Mapping[str, Any] | None:
        """Return the state last written; None without one, or with a note if it is unusable."""
        try:
            if not self._folder.exists(self._name):
                return None
            self._files.add(self._name)
            return _decode(self._folder.read(self._name), self._binding)
        except Exception as error:  # noqa: BLE001 - torch may raise anything on a corrupt file
            self.refuse(error)
        return None

    def refuse(self, error: Exception) -> None:
        """Note that the state that was read is unusable."""
        self.note(f"was ignored and its cohort trained from the start: {error}")

    @property
    def place(self) -> Path:
        """Folder for what programs save, which outlives this process; removed with this.

        It lies in the results, or on this machine's disk where they are in an object store.
        """
        inside = self._folder.path_on_disk(f"{CHECKPOINTS}/{self._stem}")
        own = f"batchscale-{self._resolved.digest()}-{self._stem}"
        return inside or Path(tempfile.gettempdir(), own)

    def write_beside(self, name: str, content: bytes) -> None:
        """Write another file into the results; a failure becomes a note."""
        try:
            self._folder.write(name, content)
        except AnalysisError as error:
            self.notes.append(f"{name} could not be written: {error}")

    def remove(self) -> None:
        """Remove it, its halves and its folder."""
        shutil.rmtree(self.place, ignore_errors=True)
        for name in sorted(self._files):
            try:
                self._folder.remove(name)
            except AnalysisError as error:
                self.note(f"could not be removed: {error}")

    def note(self, predicate: str) -> None:
        """Add a note: `predicate` is a sentence whose subject is the checkpoint."""
        self.notes.append(f"the checkpoint {self._folder / self._name} {predicate}")


def _binding(resolved: ResolvedStudy, cohort: Cohort, device: str) -> str:
    """Return a digest of everything that must agree to resume a race bit for bit."""
    parts = {
        "study": resolved.digest(),
        "cohort": asdict(cohort),
        "pack": resolved.pack_at(cohort.batch_size),
        "micro_batch": resolved.micro_batch,
        "device": device,
        "torch": torch.__version__,
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _encode(state: Mapping[str, Any], binding: str) -> memoryview:
    buffer = io.BytesIO(bytes(_HEADER))
    buffer.seek(_HEADER)
    torch.save(state, buffer)
    content = buffer.getbuffer()  # no copy: a state may take gigabytes
    sha256 = hashlib.sha256(content[_HEADER:]).hexdigest()
    header = json.dumps({"format": FORMAT, "of": binding, "sha256": sha256})
    content[:_HEADER] = header.ljust(_HEADER - 1).encode() + b"\n"
    return content


def _decode(content: bytes, binding: str) -> Mapping[str, Any]:
    try:
        header = json.loads(content[:_HEADER])
        version, owner, sha256 = header["format"], header["of"], header["sha256"]
    except (ValueError, LookupError, TypeError) as error:
        raise ValueError("batchscale did not write it") from error
    if version != FORMAT:
        raise ValueError(f"it must have format {FORMAT}, got {version}")
    if owner != binding:
        raise ValueError("it belongs to another study or cohort, or to another way of computing it")
    body = memoryview(content)[_HEADER:]
    if hashlib.sha256(body).hexdigest() != sha256:
        raise ValueError("it is incomplete or corrupt")
    state: Mapping[str, Any] = torch.load(io.BytesIO(body), map_location="cpu", weights_only=True)
    return state
