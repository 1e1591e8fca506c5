"""Checkpoints: the state of a cohort in training, as a file of the results folder.

A checkpoint is only a cache: if it is unusable, its cohort trains from the start, and a note says
so. The file is a line of JSON with a digest of what the state belongs to, then tensors and plain
values from `torch.save`, which are read as data, never as code.
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
"""Incremented when a state written by an earlier release would no longer resume bit for bit."""
_HEADER = 256
"""Bytes of the line of JSON, padded with spaces."""


class SavedError(Exception):
    """Training of a cohort ended early, at a request to stop; its state is saved."""


class Checkpoint:
    """The checkpoint of a cohort, or of half of one whose lanes are trained separately."""

    def __init__(
        self, folder: ResultsFolder, stem: str, resolved: ResolvedStudy, cohort: Cohort, device: str
    ) -> None:
        """Bind the file `stem`.pt to a cohort, without reading it."""
        # returns whether training must end as soon as its state is saved
        self.stopping: Callable[[], bool] = lambda: False
        self._folder, self._stem, self._resolved, self._device = folder, stem, resolved, device
        self._name = f"{CHECKPOINTS}/{stem}.pt"
        self._binding = _binding(resolved, cohort, device)
        self._written = time.monotonic()
        self.notes: list[str] = []  # sentences to report, about this checkpoint and its halves
        self._files: set[str] = set()

    def half(self, which: str, cohort: Cohort) -> "Checkpoint":
        """Return the checkpoint of half the lanes, `a` or `b`; it is removed with this one."""
        stem = f"{self._stem}-{which}"
        half = Checkpoint(self._folder, stem, self._resolved, cohort, self._device)
        half.notes, half._files, half.stopping = self.notes, self._files, self.stopping
        return half

    @property
    def due(self) -> bool:
        """Whether `compute.checkpoint_minutes` have passed since the last write."""
        minutes = self._resolved.compute.checkpoint_minutes
        return 0 < 60 * minutes <= time.monotonic() - self._written

    def keep(self, step: int, state: Callable[[], Mapping[str, Any]]) -> None:
        """Write the state if a checkpoint is due, or at a stop if the study has checkpoints.

        Raises:
            SavedError: a stop was requested, and the checkpoint is written.
        """
        stopping = self._resolved.compute.checkpoint_minutes > 0 and self.stopping()
        if stopping or self.due:
            self.write(state())
        if stopping:
            self.note(f"was written at step {step:,}, to resume from")
            raise SavedError

    def write(self, state: Mapping[str, Any]) -> None:
        """Write a state of tensors and plain values, atomically; a failure becomes a note."""
        try:
            self._folder.write(self._name, _encode(state, self._binding))
            self._files.add(self._name)
        except Exception as error:  # noqa: BLE001 - a cache must not end the training it saves
            self.note(f"could not be written, {type(error).__name__}: {error}")
        self._written = time.monotonic()

    def read(self) -> Mapping[str, Any] | None:
        """Return the last state written; None if there is none, or, with a note, if unusable."""
        try:
            if not self._folder.exists(self._name):
                return None
            self._files.add(self._name)
            return _decode(self._folder.read(self._name), self._binding)
        except Exception as error:  # noqa: BLE001 - torch may raise anything on a corrupt file
            self.refuse(error)
        return None

    def refuse(self, error: Exception) -> None:
        """Note that the state just read is unusable."""
        self.note(f"was ignored and its cohort trained from the start: {error}")

    @property
    def place(self) -> Path:
        """Folder for what programs save; it outlives this process and is removed with this.

        It is in the results, or on this machine's disk if the results are in an object store.
        """
        in_results = self._folder.path_on_disk(f"{CHECKPOINTS}/{self._stem}")
        name = f"batchscale-{self._resolved.digest()}-{self._stem}"
        return in_results or Path(tempfile.gettempdir(), name)

    def write_beside(self, name: str, content: bytes) -> None:
        """Write another file into the results; a failure becomes a note."""
        try:
            self._folder.write(name, content)
        except AnalysisError as error:
            self.notes.append(f"{name} could not be written: {error}")

    def remove(self) -> None:
        """Remove this checkpoint, its halves and its folder."""
        shutil.rmtree(self.place, ignore_errors=True)
        for name in sorted(self._files):
            try:
                self._folder.remove(name)
            except AnalysisError as error:
                self.note(f"could not be removed: {error}")

    def note(self, predicate: str) -> None:
        """Add a note: the checkpoint is the subject of `predicate`."""
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
