"""Reading of pickles that hold numpy arrays and plain values; all others are refused.

No code of numpy is called by a pickle: arrays are read as shape, type and bytes, and made
afterwards.
"""

import io
import pickle
import pickletools
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from workloads.errors import WorkloadError


class _Type:
    """A numpy number type as pickled: kind and size, then byte order."""

    def __init__(self, code: str | bytes, align: bool = False, copy: bool = False) -> None:
        self._code, self._order = code.decode() if isinstance(code, bytes) else code, "="

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        order = state[1]
        self._order = order.decode() if isinstance(order, bytes) else order

    def dtype(self) -> np.dtype[Any]:
        dtype = np.dtype(self._code)
        if dtype.kind not in "biuf":
            raise pickle.UnpicklingError(f"numbers of type {dtype}")
        return dtype.newbyteorder(self._order)  # type: ignore[arg-type]


class _Array:
    """A numpy array as pickled."""

    def __init__(self, *_: object) -> None:
        self._state: tuple[Any, ...] = ()

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self._state = state

    def array(self) -> np.ndarray[Any, Any]:
        _, shape, kind, by_columns, content = self._state
        numbers = np.frombuffer(content, dtype=kind.dtype())
        return numbers.reshape(shape, order="F" if by_columns else "C")


class _Latin1(bytes):
    """Bytes as Python 2 pickles them, in place of `_codecs.encode`, which can do more.

    A class, because a pickle may set attributes of anything it names that has no `__setstate__`.
    """

    def __new__(cls, text: str, encoding: bytes | str) -> "_Latin1":
        if encoding not in {"latin1", b"latin1"}:
            raise pickle.UnpicklingError(f"encoding {encoding!r}")
        return super().__new__(cls, text.encode("latin1"))

    def __setstate__(self, state: object) -> None:
        raise pickle.UnpicklingError("bytes with a state")


_ALLOWED: Mapping[tuple[str, str], Callable[..., Any]] = {
    ("numpy.core.multiarray", "_reconstruct"): _Array,
    ("numpy._core.multiarray", "_reconstruct"): _Array,
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _Type,
    ("_codecs", "encode"): _Latin1,
}
"""All that a pickle may name; one that could name more could run any program."""


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"{module}.{name}")
        return _ALLOWED[module, name]


def read_pickle(content: bytes, source: object) -> Any:
    """Return the content of a pickle of dicts, lists, strings, bytes, numbers and number arrays.

    Args:
        content: the pickle; one from Python 2 has its strings as bytes.
        source: where it is from, for messages.

    Raises:
        WorkloadError: it holds anything else, or is not a pickle.
    """
    try:
        _check_places(content)
        return _with_arrays(_Unpickler(io.BytesIO(content), encoding="bytes").load())
    except Exception as error:
        raise WorkloadError(
            f"a pickle must be whole and hold arrays and plain values only, got "
            f"{type(error).__name__}: {error} in {source}; fetch the file again from its source"
        ) from error


def _check_places(content: bytes) -> None:
    """Refuse an entry of the unpickler's memo that a file of this size cannot need.

    Python allocates all entries up to the greatest index that a pickle names, so ten bytes could
    ask for 64 GiB.

    Raises:
        UnpicklingError: there is one.
    """
    for opcode, argument, _ in pickletools.genops(content):
        if opcode.name.endswith("PUT") and (argument or 0) > len(content):
            raise pickle.UnpicklingError(f"place {argument:,} in {len(content):,} bytes")


def _with_arrays(value: Any) -> Any:
    if isinstance(value, _Array):
        return value.array()
    if isinstance(value, dict):
        return {_with_arrays(key): _with_arrays(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [_with_arrays(entry) for entry in value]
    if isinstance(value, bytes):
        return bytes(value)
    if value is not None and not isinstance(value, str | int | float):
        raise pickle.UnpicklingError(f"a {type(value).__name__}")
    return value
