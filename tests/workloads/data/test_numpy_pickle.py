import os
import pickle

import numpy as np
import pytest

from workloads.data.numpy_pickle import read_pickle
from workloads.errors import WorkloadError


@pytest.mark.parametrize("protocol", range(5))
@pytest.mark.parametrize("kind", ["u1", ">f4", "<i8", "?"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_arrays_of_numbers_come_back(protocol, kind, order):
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
def test_what_is_no_whole_pickle_is_refused(content):
    with pytest.raises(WorkloadError, match="must be whole.* in made; fetch the file again"):
        read_pickle(content, "made")
