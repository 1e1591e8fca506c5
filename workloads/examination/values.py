"""Values that a snapshot compares as a whole, and how each kind is compared."""

import ctypes
import hashlib
import io
import itertools
import mmap
import queue
import random
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

_MAX_HASHED = 1 << 20
"""Tensors with more elements are compared by identity and version instead of content."""
_MAX_COPIED = 1 << 24
"""Writeable arrays, which have no version, with more elements are compared by address."""
_ITERATORS = (
    *(type(iter(kind())) for kind in (list, tuple, str, dict, set)),
    *(getattr(itertools, name) for name in ("count", "cycle", "repeat", "chain", "islice")),
    enumerate,
    map,
    zip,
)


def digest(value: Tensor | np.ndarray[Any, Any]) -> bytes:
    """Return a digest of the elements of a tensor, or of an array without objects."""
    if isinstance(value, Tensor):
        if value.layout is torch.sparse_coo:
            value = value.detach().coalesce()
            return digest(value.indices()) + digest(value.values())
        if value.layout is not torch.strided or value.is_quantized:  # such as compressed rows
            return digest(value.detach().dequantize() if value.is_quantized else value.to_dense())
        plain = value.detach().cpu().resolve_conj().resolve_neg()
        value = plain.contiguous().view(-1).view(torch.uint8).numpy()
    return hashlib.sha256(np.ascontiguousarray(value).data).digest()


def _content(value: Any) -> tuple[Any, ...]:
    kind = (tuple(value.shape), value.dtype)
    if isinstance(value, Tensor):
        if value.numel() > _MAX_HASHED or value.is_meta:
            return (*kind, id(value), value._version)
    elif value.size > (_MAX_COPIED if value.flags.writeable else _MAX_HASHED):
        return (*kind, value.ctypes.data)
    elif value.dtype.hasobject:
        return (*kind, repr(value))
    return (*kind, digest(value))


def _position(iterator: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 on itertools
        try:
            return repr(iterator.__reduce__())
        except TypeError:
            return object()  # equal to nothing: an unreadable iterator counts as changed


def _place(file: io.IOBase) -> Any:
    """Return the position of the next read from a file; None for one only written, like a log."""
    if file.closed or not file.readable() or not file.seekable():
        return None
    try:
        return file.tell()
    except OSError:
        return object()  # a loop over its lines disables tell(): counts as changed


def _block(memory: Any) -> bytes | None:
    """Return the content of a block of memory; None for one that is large or closed."""
    if isinstance(memory, mmap.mmap) and memory.closed:
        return None
    with memoryview(memory) as view:
        return view.tobytes() if view.nbytes <= _MAX_COPIED else None


STATES: tuple[tuple[Any, Callable[[Any], Any]], ...] = (
    ((Tensor, np.ndarray), _content),
    (torch.Generator, lambda generator: generator.get_state().numpy().tobytes()),
    (random.SystemRandom, repr),
    (random.Random, lambda generator: generator.getstate()),
    (np.random.Generator, lambda generator: repr(generator.bit_generator.state)),
    ((np.random.BitGenerator, np.random.SeedSequence), lambda source: repr(source.state)),
    (np.random.RandomState, lambda generator: repr(generator.get_state())),
    ((set, frozenset), lambda values: frozenset(map(repr, values))),
    (_ITERATORS, _position),
    (np.flatiter, lambda iterator: iterator.index),
    (np.nditer, lambda iterator: None if iterator.finished else iterator.iterindex),
    (memoryview, bytes),
    ((mmap.mmap, ctypes.Array, ctypes.Structure), _block),
    (queue.SimpleQueue, lambda waiting: waiting.qsize()),
    (io.IOBase, _place),
    ((np.generic, torch.dtype, torch.device, torch.Size), repr),
)
"""Types compared as a whole, with the function that returns what is compared; the first match
counts."""
