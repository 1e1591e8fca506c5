import pytest

from study.config.sections import LaneLimit
from study.config.study import StudyConfig
from study.planning.sizing import Device, ModelSize, cohort_lanes, pack_lanes

SMALL = ModelSize(2_410, 4_736)


def config(**sections):
    return StudyConfig.model_validate({"workload": "digits-mlp"} | sections)


@pytest.mark.parametrize(
    ("parameters", "lanes"),
    [(2_410, 32), (2_000_000, 32), (4_000_000, 16), (25_600_000, 2), (200_000_000, 1)],
)
def test_a_cohort_holds_what_memory_holds(parameters, lanes):
    assert cohort_lanes(config(), ModelSize(parameters, 1), Device()).lanes == lanes


def test_the_state_of_the_optimizer_takes_memory_too():
    one, two = (ModelSize(2**25, 1, buffers=buffers) for buffers in (1, 2))
    assert [cohort_lanes(config(), size, Device()).lanes for size in (one, two)] == [2, 1]


def test_a_round_holds_where_it_started_and_its_mean_change():
    plain, rounds = (config(**sections) for sections in ({}, {"federated": {"clients": 1_000}}))
    size = ModelSize(2**24, 1)
    assert [cohort_lanes(study, size, Device()).lanes for study in (plain, rounds)] == [4, 2]


@pytest.mark.parametrize(
    ("batch_size", "lanes"), [(1, 32), (256, 32), (512, 16), (1024, 16), (4096, 4), (65_536, 1)]
)
def test_a_pack_holds_few_enough_examples_for_the_cache(batch_size, lanes):
    assert pack_lanes(config(), SMALL, Device()).at(batch_size) == lanes


@pytest.mark.parametrize(
    ("flops", "batch_size", "lanes"),
    [
        (4_736, 4, 32),
        (132_700, 512, 4),
        (5_000_000, 1, 32),
        (5_000_000, 16, 4),
        (5_000_000, 256, 1),
        (25_000_000, 1, 16),
    ],
)
def test_a_pack_of_a_heavy_model_is_small(flops, batch_size, lanes):
    assert pack_lanes(config(), ModelSize(10_000, flops), Device()).at(batch_size) == lanes


@pytest.mark.parametrize(
    ("parameters", "lanes"), [(13_000, 32), (119_000, 4), (814_000, 1), (3_270_000, 1)]
)
def test_a_pack_of_many_parameters_that_compute_little_stays_in_the_cache(parameters, lanes):
    heavy = ModelSize(parameters, 100 * parameters)
    assert pack_lanes(config(), ModelSize(parameters, 2 * parameters), Device()).at(1) == lanes
    assert pack_lanes(config(), heavy, Device()).lanes == 32


@pytest.mark.parametrize("asked", [5, {"lanes": 5}, {"lanes": 5, "examples": 64}])
def test_what_the_study_says_stands(asked):
    said = config(race={"cohort": asked}, compute={"pack": asked})
    examples = 64 if isinstance(asked, dict) and "examples" in asked else None
    expected = LaneLimit(lanes=5, examples=examples)
    assert cohort_lanes(said, ModelSize(10**9, 10**9), Device()) == expected
    assert pack_lanes(said, ModelSize(10**9, 10**9), Device()) == expected


def test_a_gpu_is_given_more_and_own_dynamics_their_own():
    gpu = Device("cuda", 0.5)
    assert cohort_lanes(config(), SMALL, gpu).lanes > cohort_lanes(config(), SMALL, Device()).lanes
    assert pack_lanes(config(), SMALL, gpu).at(512) > pack_lanes(config(), SMALL, Device()).at(512)
    assert cohort_lanes(config(), None, gpu) == pack_lanes(config(), None, gpu)


def test_few_lanes_of_heavy_convolutions_are_each_on_their_own_on_a_gpu():
    heavy = ModelSize(3_000_000, 28_000_000, convolutional=True)
    on = {kind: pack_lanes(config(), heavy, Device(kind, 1.0)) for kind in ("cpu", "cuda")}
    assert [on["cuda"].at(size) for size in (1, 64, 256, 4096)] == [128, 38, 1, 1]
    assert on["cpu"] == pack_lanes(config(), ModelSize(3_000_000, 28_000_000), Device())
