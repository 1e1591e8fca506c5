"""Checkpoints: how far a cohort has come, as a file of the results folder to go on from.

They are only a cache: whatever is wrong with one, its cohort trains from the start, and a note says
so. A file is a line of JSON, which says what it is of, and then tensors and plain values as
`torch.save` writes them; they are read as data, never as code.
"""

import hashlib
import io
import json
import time
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import torch

from analysis.errors import AnalysisError
from analysis.tables.folder import ResultsFolder
from study.config.study import ResolvedStudy
from study.records import Cohort

CHECKPOINTS = "checkpoints"
FORMAT = 1
_HEADER = 256
"""Bytes of the line of JSON, blanks at its end included."""


class Checkpoint:
    """The checkpoint of a cohort, or of a half of one whose lanes train apart.

    Attributes:
        notes: what there is to say of it, in words, and of its halves.
    """

    def __init__(
        self, folder: ResultsFolder, stem: str, resolved: ResolvedStudy, cohort: Cohort, device: str
    ) -> None:
        """Says where it is and what it is of; looks at nothing.

        Args:
            folder: the results folder.
            stem: its file's name without suffix.
            resolved: the study.
            cohort: whose lanes it holds.
            device: cpu or cuda.
        """
        self._folder, self._stem, self._resolved, self._device = folder, stem, resolved, device
        self._name = f"{CHECKPOINTS}/{stem}.pt"
        self._binding = _binding(resolved, cohort, device)
        self._looked = time.monotonic()
        self.notes: list[str] = []
        self._files: set[str] = set()

    def half(self, which: str, cohort: Cohort) -> "Checkpoint":
        """Gives the checkpoint of half of the lanes, `a` or `b`; it is removed with this one."""
        half = Checkpoint(
            self._folder, f"{self._stem}-{which}", self._resolved, cohort, self._device
        )
        half.notes, half._files = self.notes, self._files
        return half

    @property
    def due(self) -> bool:
        """Whether it is time to write it, by `compute.checkpoint_minutes`."""
        minutes = self._resolved.compute.checkpoint_minutes
        return 0 < 60 * minutes <= time.monotonic() - self._looked

    def write(self, state: Mapping[str, Any]) -> None:
        """Writes a state in one atomic step; where that fails, a note says so.

        Args:
            state: nested lists and mappings of tensors and plain values.
        """
        try:
            self._folder.write(self._name, _packed(state, self._binding))
            self._files.add(self._name)
        except Exception as error:  # noqa: BLE001 - a cache must not end what it is there to save
            self.note(f"could not be written, {type(error).__name__}: {error}")
        self._looked = time.monotonic()

    def read(self) -> Mapping[str, Any] | None:
        """Gives the state that was written last; None, and a note, where it is of no use."""
        try:
            if not self._folder.exists(self._name):
                return None
            self._files.add(self._name)
            return _unpacked(self._folder.read(self._name), self._binding)
        except Exception as error:  # noqa: BLE001 - what a foreign file makes torch raise is open
            self.refuse(error)
        return None

    def refuse(self, error: Exception) -> None:
        """Notes that the state that was read is of no use."""
        self.note(f"was left aside, its cohort trained from the start: {error}")

    def remove(self) -> None:
        """Removes it and its halves."""
        for name in sorted(self._files):
            try:
                self._folder.remove(name)
            except AnalysisError as error:
                self.note(f"could not be removed: {error}")

    def note(self, words: str) -> None:
        """Notes what there is to say of it: a sentence without its subject."""
        self.notes.append(f"the checkpoint {self._folder / self._name} {words}")


def _binding(resolved: ResolvedStudy, cohort: Cohort, device: str) -> str:
    """Gives a digest of all that must agree for a race to go on bit for bit."""
    of = {
        "study": resolved.digest(),
        "cohort": asdict(cohort),
        "pack": resolved.pack_at(cohort.batch_size),
        "micro_batch": resolved.micro_batch,
        "device": device,
        "torch": torch.__version__,
    }
    return hashlib.sha256(json.dumps(of, sort_keys=True).encode()).hexdigest()


def _packed(state: Mapping[str, Any], binding: str) -> memoryview:
    buffer = io.BytesIO(bytes(_HEADER))
    buffer.seek(_HEADER)
    torch.save(state, buffer)
    content = buffer.getbuffer()  # no copy: a state may take gigabytes
    sha256 = hashlib.sha256(content[_HEADER:]).hexdigest()
    header = json.dumps({"format": FORMAT, "of": binding, "sha256": sha256})
    content[:_HEADER] = header.ljust(_HEADER - 1).encode() + b"\n"
    return content


def _unpacked(content: bytes, binding: str) -> Mapping[str, Any]:
    try:
        header = json.loads(content[:_HEADER])
        told, of, sha256 = header["format"], header["of"], header["sha256"]
    except (ValueError, LookupError, TypeError) as error:
        raise ValueError("it is not one that batchscale wrote") from error
    if told != FORMAT:
        raise ValueError(f"it must have format {FORMAT}, got {told}")
    if of != binding:
        raise ValueError("it is of another study or cohort, or of one computed in another way")
    body = memoryview(content)[_HEADER:]
    if hashlib.sha256(body).hexdigest() != sha256:
        raise ValueError("it is not whole")
    state: Mapping[str, Any] = torch.load(io.BytesIO(body), map_location="cpu", weights_only=True)
    return state
