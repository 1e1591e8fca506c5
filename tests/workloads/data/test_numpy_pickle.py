import contextlib
import os
import pickle
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workloads.data import numpy_pickle
from workloads.data.numpy_pickle import read_pickle
from workloads.errors import WorkloadError


@pytest.mark.parametrize("protocol", range(5))
@pytest.mark.parametrize("kind", ["u1", ">f4", "<i8", "?"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_arrays_of_numbers_survive_a_round_trip(protocol, kind, order):
    array = np.arange(12).reshape(3, 4).astype(kind, order=order)
    value = {"arrays": [array, {"again": array}], "plain": [1, 2.5, None, True, "word", b"bytes"]}
    read = read_pickle(pickle.dumps(value, protocol=protocol), "made")
    np.testing.assert_array_equal(read["arrays"][0], array)
    np.testing.assert_array_equal(read["arrays"][1]["again"], array)
    assert read["plain"] == value["plain"]


class Runs:
    def __reduce__(self):
        return os.mkdir, ("made-by-a-pickle",)


class Evaluates:
    def __reduce__(self):
        return eval, ("1 + 1",)


@pytest.mark.parametrize(
    ("value", "named"),
    [
        (Runs(), "posix.mkdir"),
        (Evaluates(), "eval"),
        (np.array([None], dtype=object), "numbers of type object"),
        (np.array(["text"]), "numbers of type <U"),
        (np.float64(3), "multiarray.scalar"),
        (np.zeros(1, dtype=[("field", "u1")]), "numbers of type"),
    ],
)
def test_everything_else_is_refused_and_never_run(tmp_path, monkeypatch, value, named):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(WorkloadError, match=f"arrays and plain values only, got .*{named}"):
        read_pickle(pickle.dumps(value, protocol=2), "made")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [b"", b"text", pickle.dumps(np.arange(9), protocol=2)[:-20]])
def test_an_incomplete_pickle_is_refused(content):
    with pytest.raises(WorkloadError, match="must be whole.* in made; fetch the file again"):
        read_pickle(content, "made")


def named(module, name):
    return f"c{module}\n{name}\n".encode()


ATTACKS = {
    "reduce": named("posix", "system") + b"(S'touch ran'\ntR.",
    "instance": b"(S'touch ran'\nios\nsystem\n.",
    "object": b"\x80\x02(" + named("os", "system") + b"S'touch ran'\no.",
    "new object": b"\x80\x02" + named("subprocess", "Popen") + b"S'touch ran'\n\x85\x81.",
    "stack global": b"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\ttouch ran\x85R.",
    "dotted": b"\x80\x04\x8c\x05numpy\x8c\x13dtype.__init__.__globals__\x93.",
    "built-in": named("builtins", "exec") + b'(S\'open("ran", "w")\'\ntR.',
    "by name in the codecs": named("_codecs", "lookup") + b"(S'x'\ntR.",
    "codec that runs": named("_codecs", "encode") + b"(S'x'\nS'zlib'\ntR.",
    "persistent": b"Pos.system\n.",
    "extension": b"\x80\x02\x82\x01.",
    "ours": named("workloads.data.numpy_pickle", "read_pickle") + b"(S'x'\nS'y'\ntR.",
    "enormous text": b"\x80\x04\x8d\xff\xff\xff\xff\xff\xff\xff\x7f.",
    "endless nesting": b"(" * 100_000 + b".",
    "changed function": named("_codecs", "encode") + b"}S'__code__'\nI1\nsb.",
    "changed type": named("numpy", "dtype") + b"N}S'__setstate__'\nI1\ns\x86b.",
}


@pytest.mark.parametrize("content", ATTACKS.values(), ids=ATTACKS)
def test_an_attack_is_refused_and_changes_nothing(tmp_path, monkeypatch, content):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(WorkloadError, match="must be whole and hold arrays and plain values only"):
        read_pickle(content, "made")
    assert list(tmp_path.iterdir()) == []
    test_arrays_of_numbers_survive_a_round_trip(2, "u1", "C")


def billion_laughs(pair, start=b")", levels=60):
    """Return a pickle of pairs of pairs: a few hundred bytes that stand for 2^60 values."""
    content = b"\x80\x02" + start
    for level in range(levels):
        place = bytes([level])
        content += b"q" + place + b"(h" + place + b"h" + place + pair
    return content


BOMBS = {
    "lists of lists": billion_laughs(b"l") + b".",
    "tuples of tuples": b"\x80\x02]" + billion_laughs(b"t")[2:] + b"a.",
    "tuples as a key": b"\x80\x02}" + billion_laughs(b"t")[2:] + b"Ns.",
    "tuples as an encoding": named("_codecs", "encode")
    + b"X\x01\x00\x00\x00a"
    + billion_laughs(b"t")[2:]
    + b"\x86R.",
    "tuples as a type": named("numpy", "dtype") + billion_laughs(b"t")[2:] + b"\x85R.",
    "list in itself": b"]q\x00h\x00a.",
    "one text many times": b"\x80\x02]("
    + named("_codecs", "encode")
    + b"q\x00X\x10'\x00\x00"
    + b"a" * 10_000
    + b"X\x06\x00\x00\x00latin1\x86q\x01R"
    + b"h\x00h\x01R" * 100_000
    + b"e.",
    "many marks": b"(" * 300_000 + b".",
    "many values": b"\x80\x02](" + b"N" * 300_000 + b"e.",
    "enormous number": b"\x80\x02]" + b"\x8b\x00\x00\x10\x00" + b"\xff" * 2**20 + b"a.",
}


@pytest.mark.timeout(20)
@pytest.mark.parametrize("content", BOMBS.values(), ids=BOMBS)
def test_time_and_memory_are_bounded_by_the_size_of_the_file(monkeypatch, content):
    # a tenth of the operations, which take long to trace; a file may have more of them
    monkeypatch.setattr(numpy_pickle, "_MAX_OPERATIONS", 2**17)
    tracemalloc.start()
    try:
        with contextlib.suppress(WorkloadError):
            read_pickle(content, "made")
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 2**25


def test_a_key_that_takes_long_to_hash_is_refused():
    with pytest.raises(WorkloadError, match="a key that is neither text nor integer"):
        read_pickle(BOMBS["tuples as a key"], "made")


SOUND = pickle.dumps({b"data": np.arange(20, dtype=np.uint8), b"labels": [1, 2]}, protocol=2)


@given(place=st.integers(0, len(SOUND)), length=st.integers(0, 4), new=st.binary(max_size=6))
@settings(max_examples=300, deadline=None, derandomize=True)
def test_a_changed_pickle_is_read_or_refused(place, length, new):
    content = SOUND[:place] + new + SOUND[place + length :]
    with contextlib.suppress(WorkloadError):
        assert isinstance(read_pickle(content, "made"), dict | list | bytes | int | float | None)
