"""A reader for pickles of numpy arrays and plain values, which refuses all others.

A pickle is a program for a small stack machine. The machine here has only the operations that make
arrays and plain values. It never calls what a pickle names, and its time and memory are bounded by
the size of the pickle, which Python's own unpickler does not promise.
"""

import pickletools
from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np

from workloads.errors import WorkloadError

_MAX_OPERATIONS = 2**20
"""A batch of CIFAR-10 takes some 60,000."""
_MARK: Final = object()


class _UnfitError(Exception):
    """The pickle is damaged, or contains something else."""


class _Array:
    """A numpy array whose shape and content follow later in the pickle."""

    array: np.ndarray[Any, Any] | None = None

    def set(self, state: Any) -> np.ndarray[Any, Any]:
        _, shape, kind, by_columns, content = state
        numbers = np.frombuffer(content, dtype=kind.dtype())
        self.array = numbers.reshape(shape, order="F" if by_columns else "C")
        return self.array


class _Type:
    """A pickled numpy dtype of numbers: kind and size, then byte order."""

    def __init__(self, code: object) -> None:
        self._code, self._order = _word(code), "="

    def set(self, state: Any) -> "_Type":
        self._order = _word(state[1])
        return self

    def dtype(self) -> np.dtype[Any]:
        dtype = np.dtype(self._code)
        if dtype.kind not in "biuf":
            raise _UnfitError(f"numbers of type {dtype}")
        return dtype.newbyteorder(self._order)  # type: ignore[arg-type]


class _Function:
    """The name of a function, with its module, that a pickle may use."""

    def __init__(self, module: object, name: object) -> None:
        self.name = f"{_word(module)}.{_word(name)}"
        if self.name not in _CALLS:
            raise _UnfitError(self.name)


def _word(value: object) -> str:
    if not isinstance(value, str | bytes) or len(value) > 100:
        raise _UnfitError("an invalid name")
    return value if isinstance(value, str) else value.decode("latin1")


def _latin1(text: object, encoding: object) -> bytes:
    """Return bytes as Python 3 writes them for Python 2, in place of `_codecs.encode`."""
    if not isinstance(text, str) or _word(encoding) != "latin1":
        raise _UnfitError("bytes in another encoding than latin1")
    return text.encode("latin1")


_CALLS: Mapping[str, Callable[..., Any]] = {
    "numpy.core.multiarray._reconstruct": lambda *_: _Array(),
    "numpy._core.multiarray._reconstruct": lambda *_: _Array(),
    "numpy.ndarray": lambda *_: _Array(),
    "numpy.dtype": lambda code, *_: _Type(code),
    "_codecs.encode": _latin1,
}
"""The functions that a pickle may name, and what runs in their place."""


class _Machine:
    """The stack and the memo of the unpickler."""

    def __init__(self, size: int) -> None:
        self.stack: list[Any] = []
        self._memo: dict[int, Any] = {}
        self._size = self._bytes_left = size

    def check(self, number: int) -> None:
        """Refuse a length or an index that is too large for a pickle of this size."""
        if number > self._size:
            raise _UnfitError(f"{number:,} in {self._size:,} bytes")

    def push(self, value: object) -> None:
        self.stack.append(value)

    def pop(self) -> Any:
        value = self.stack.pop()
        if value is _MARK:
            raise _UnfitError("a mark instead of a value")
        return value

    def popped_to_mark(self) -> list[Any]:
        values = []
        while (value := self.stack.pop()) is not _MARK:
            values.append(value)
        return values[::-1]

    def popped(self, count: int) -> list[Any]:
        return [self.pop() for _ in range(count)][::-1]

    def top(self, kind: type) -> Any:
        if not isinstance(self.stack[-1], kind):
            raise _UnfitError(f"no {kind.__name__} where one must be")
        return self.stack[-1]

    def put(self, place: int) -> None:
        self.check(place)
        self._memo[place] = self.stack[-1]

    def memoize(self) -> None:
        self.put(len(self._memo))

    def get(self, place: int) -> None:
        value = self._memo[place]
        self.push(value.array if isinstance(value, _Array) and value.array is not None else value)

    def append(self, values: list[Any]) -> None:
        self.top(list).extend(values)

    def set_items(self, values: list[Any]) -> None:
        keys = values[::2]
        # nested tuples may take very long to hash
        if len(values) % 2 or not all(isinstance(key, str | bytes | int) for key in keys):
            raise _UnfitError("a key that is neither text nor integer")
        self.top(dict).update(zip(keys, values[1::2], strict=True))

    def make_dict(self) -> None:
        values = self.popped_to_mark()
        self.push({})
        self.set_items(values)

    def call(self) -> None:
        function, arguments = self.popped(2)
        if not isinstance(function, _Function) or not isinstance(arguments, tuple):
            raise _UnfitError("a call of something that is not a function")
        made = _CALLS[function.name](*arguments)
        if isinstance(made, bytes):
            # each call makes a copy, of a text that may be used many times
            self._bytes_left -= len(made)
            if self._bytes_left < 0:
                raise _UnfitError("more bytes than the pickle has")
        self.push(made)

    def build(self) -> None:
        made, state = self.popped(2)
        if not isinstance(made, _Array | _Type) or not isinstance(state, tuple):
            raise _UnfitError("a state of something that is not an array")
        self.push(made.set(state))


_NUMBERS = ("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT")
_TEXTS = ("UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8")
_BYTES = ("BINBYTES", "SHORT_BINBYTES", "BINBYTES8")
_TEXTS_OF_PYTHON_2 = ("STRING", "BINSTRING", "SHORT_BINSTRING")
_OPERATIONS: Mapping[str, Callable[[_Machine, Any], None]] = {
    **dict.fromkeys(("PROTO", "STOP"), lambda machine, argument: None),
    "FRAME": lambda machine, size: machine.check(size),
    **dict.fromkeys((*_NUMBERS, *_TEXTS, *_BYTES), _Machine.push),
    **dict.fromkeys(_TEXTS_OF_PYTHON_2, lambda machine, text: machine.push(text.encode("latin1"))),
    **dict.fromkeys(("PUT", "BINPUT", "LONG_BINPUT"), _Machine.put),
    **dict.fromkeys(("GET", "BINGET", "LONG_BINGET"), _Machine.get),
    "MEMOIZE": lambda machine, _: machine.memoize(),
    "NONE": lambda machine, _: machine.push(None),
    "NEWTRUE": lambda machine, _: machine.push(True),
    "NEWFALSE": lambda machine, _: machine.push(False),
    "MARK": lambda machine, _: machine.push(_MARK),
    "EMPTY_LIST": lambda machine, _: machine.push([]),
    "LIST": lambda machine, _: machine.push(machine.popped_to_mark()),
    "APPEND": lambda machine, _: machine.append(machine.popped(1)),
    "APPENDS": lambda machine, _: machine.append(machine.popped_to_mark()),
    "EMPTY_TUPLE": lambda machine, _: machine.push(()),
    "TUPLE": lambda machine, _: machine.push(tuple(machine.popped_to_mark())),
    "TUPLE1": lambda machine, _: machine.push(tuple(machine.popped(1))),
    "TUPLE2": lambda machine, _: machine.push(tuple(machine.popped(2))),
    "TUPLE3": lambda machine, _: machine.push(tuple(machine.popped(3))),
    "EMPTY_DICT": lambda machine, _: machine.push({}),
    "DICT": lambda machine, _: machine.make_dict(),
    "SETITEM": lambda machine, _: machine.set_items(machine.popped(2)),
    "SETITEMS": lambda machine, _: machine.set_items(machine.popped_to_mark()),
    "GLOBAL": lambda machine, names: machine.push(_Function(*names.split(" ", 1))),
    "STACK_GLOBAL": lambda machine, _: machine.push(_Function(*machine.popped(2))),
    "REDUCE": lambda machine, _: machine.call(),
    "BUILD": lambda machine, _: machine.build(),
}
"""Allowed operations by their names in `pickletools`."""


def read_pickle(content: bytes, source: object) -> Any:
    """Return the content of a pickle of dicts, lists, strings, bytes, numbers and number arrays.

    Strings pickled by Python 2 become bytes. Messages name the source.

    Raises:
        WorkloadError: it contains anything else, or is not a pickle.
    """
    try:
        return _result(content)
    except Exception as error:  # a damaged pickle may raise anything
        raise WorkloadError(
            f"a pickle must be whole and hold arrays and plain values only, got "
            f"{type(error).__name__}: {error} in {source}; fetch the file again from its source"
        ) from error


def _result(content: bytes) -> Any:
    machine = _Machine(len(content))
    for count, (operation, argument, _) in enumerate(pickletools.genops(content)):
        perform = _OPERATIONS.get(operation.name)
        if perform is None or count >= _MAX_OPERATIONS:
            raise _UnfitError(operation.name if perform is None else "more operations than any has")
        perform(machine, argument)
    result = machine.pop()
    if machine.stack or isinstance(result, _Array | _Type | _Function | tuple):
        raise _UnfitError("an unfinished value")
    return result
