"""TensorBoard event files, read with the messages that tensorboardX defines (Ray Tune brings it).

A folder with event files is a run, and its path is the run's id. Hyperparameters come from the
hparams plug-in; PyTorch's `add_hparams` writes them to a subfolder of the run's folder.
"""

import math
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from analysis.errors import AnalysisError
from analysis.runs.readers.tracked import TrackedRun, tracked_rows, wanted
from analysis.runs.rows import Rows
from batchscale.files import read_file

_MAX_BYTES = 2**31
_MAX_CHECKED = 2**12
"""Largest record in bytes whose checksum is verified; larger ones are images, which are skipped."""
_HPARAMS = "hparams"
_START = "_hparams_/session_start_info"


def read_event_files(folder: Path, mapping: Mapping[str, str]) -> Rows:
    """Return the runs in a folder of event files.

    Raises:
        AnalysisError: tensorboardX is not installed, or a file is damaged.
    """
    try:
        from tensorboardX.proto.event_pb2 import Event
    except ImportError as error:
        raise AnalysisError(
            "event files need the package tensorboardX, got none; run `pip install tensorboardX`"
        ) from error
    names = wanted(mapping)
    folders: dict[Path, _Events] = {}
    for path in sorted(folder.rglob("*.tfevents.*")):
        events = folders.setdefault(path.parent, _Events())
        try:
            for record in _records(read_file(path, _MAX_BYTES)):
                events.add(Event.FromString(record), names)
        except Exception as error:  # protobuf has an error of its own
            raise AnalysisError(
                f"an event file must be as TensorBoard writes it, got {path}: {error}; leave it out"
            ) from error
    for path, events in list(folders.items()):
        parent = folders.get(path.parent)
        if events.settings and parent is not None and not parent.settings:
            parent.settings = events.settings
            del folders[path]
    runs = (
        TrackedRun(
            settings={**events.settings, "run": str(path.relative_to(folder.parent))},
            curves=events.curves,
        )
        for path, events in folders.items()
    )
    return tracked_rows(str(folder), runs, mapping)


def _records(content: bytes) -> Iterator[bytes]:
    """Yield the records of a file: length, checksum, bytes, checksum; the last may be cut off."""
    from tensorboardX.record_writer import masked_crc32c

    at = 0
    while at + 12 <= len(content):
        length, of_length = struct.unpack_from("<QI", content, at)
        end = at + 12 + length
        if masked_crc32c(content[at : at + 8]) != of_length:
            raise ValueError(f"the checksum at byte {at:,} does not match")
        if end + 4 > len(content):
            return
        record = content[at + 12 : end]
        (of_record,) = struct.unpack_from("<I", content, end)
        if length <= _MAX_CHECKED and masked_crc32c(record) != of_record:
            raise ValueError(f"the checksum at byte {end:,} does not match")
        yield record
        at = end + 4


class _Events:
    """The content of the event files of one folder."""

    def __init__(self) -> None:
        self.settings: dict[str, Any] = {}
        self.curves: dict[str, list[tuple[float, float]]] = {}

    def add(self, event: Any, names: frozenset[str]) -> None:
        """Add an event's scalars and hyperparameters."""
        for value in event.summary.value:
            if value.metadata.plugin_data.plugin_name == _HPARAMS:
                if value.tag == _START:
                    self.settings |= _settings(value.metadata.plugin_data.content)
                continue
            number = _scalar(value)
            if number is None:
                continue
            curve = self.curves.setdefault(value.tag, [])
            if value.tag in names:
                curve.append((event.step, number))


def _settings(content: bytes) -> dict[str, Any]:
    from tensorboardX.proto.plugin_hparams_pb2 import HParamsPluginData

    start = HParamsPluginData.FromString(content).session_start_info
    kinds = ("number_value", "string_value", "bool_value")
    return {
        name: next((getattr(value, kind) for kind in kinds if value.HasField(kind)), None)
        for name, value in start.hparams.items()
    }


def _scalar(value: Any) -> float | None:
    """Return the number of a summary; None for images, histograms and the like."""
    if value.HasField("simple_value"):
        return float(value.simple_value)
    tensor = value.tensor
    if not value.HasField("tensor") or math.prod(dim.size for dim in tensor.tensor_shape.dim) != 1:
        return None
    for values in (tensor.float_val, tensor.double_val):
        if len(values) == 1:
            return float(values[0])
    formats = {1: "<f", 2: "<d"}  # DT_FLOAT, DT_DOUBLE
    form = formats.get(tensor.dtype)
    if form is None or len(tensor.tensor_content) != struct.calcsize(form):
        return None
    return float(struct.unpack(form, tensor.tensor_content)[0])
