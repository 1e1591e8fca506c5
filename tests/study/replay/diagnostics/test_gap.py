"""Losses and errors of both splits, with intervals over examples."""

from dataclasses import replace

import pytest

from study.replay.diagnostics.gap import gap
from tests.blobs import Blobs
from tests.study.replay.diagnostics.conftest import Quadratic, by_name


def test_the_gap_is_validation_less_training(network):
    made = network(Blobs())
    found = by_name(gap(made))
    whole = {
        name: made.measured(made.weights.parameters, split)
        for name, split in (("train", made.sample.train), ("val", made.sample.validation))
    }
    for place, quantity in enumerate(("loss", "error")):
        for split, values in whole.items():
            row = found[f"{split}_{quantity}", ""]
            assert row["value"] == pytest.approx(values[place])
            assert row["low"] < row["value"] < row["high"]
        difference = whole["val"][place] - whole["train"][place]
        row = found[f"{quantity}_gap", ""]
        assert row["value"] == pytest.approx(difference)
        assert row["low"] < difference < row["high"]


def test_an_error_of_all_examples_together_has_no_interval(network):
    class Whole(Quadratic):
        whole = True

    assert by_name(gap(network(Whole())))["val_error", ""]["low"] is None


def test_a_test_split_is_measured_too(network):
    class Tested(Quadratic):
        def data(self):
            data = super().data()
            return replace(data, test=data.train.rows(slice(100, 200)))

    found = by_name(gap(network(Tested())))
    assert found["test_error", ""]["examples"] == 100
    assert found["test_error", ""]["low"] < found["test_error", ""]["high"]
