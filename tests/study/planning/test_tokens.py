import pytest

from study.errors import StudyError
from study.planning.resolve import resolve
from study.planning.tokens import in_examples

BLOBS = f"{__file__.rpartition('/study/')[0]}/blobs.py:Blobs"


class Of16:
    tokens_per_example = 16


@pytest.mark.parametrize(
    ("given", "examples"),
    [
        ({"batch_sizes": [64, 16]}, {"batch_sizes": [4, 1]}),
        ({"batch_sizes": {"from": 32, "to": "all"}}, {"batch_sizes": {"from": 2, "to": "all"}}),
        (
            {"batch_sizes": {"from": 32, "auto": True}},
            {"batch_sizes": {"from": 2, "auto": True}},
        ),
        ({"batch_sizes": "auto"}, {"batch_sizes": "auto"}),
        ({"race": {"max_steps": {"64": 500}}}, {"race": {"max_steps": {"4": 500}}}),
        ({"race": {"max_steps": 500}}, {"race": {"max_steps": 500}}),
        (
            {"race": {"max_steps": {"times": 4.0, "of": "64"}}},
            {"race": {"max_steps": {"times": 4.0, "of": "64"}}},
        ),
        ({"recipe": {"rule": "linear", "base": 64}}, {"recipe": {"rule": "linear", "base": 4}}),
        ({"federated": {"local_batch_size": 32}}, {"federated": {"local_batch_size": 2}}),
        ({"recipe": {"rule": "lamb"}}, {"recipe": {"rule": "lamb"}}),
        ({"race": {"max_tokens": None}}, {"race": {"max_tokens": None}}),
    ],
)
def test_every_batch_size_of_a_file_is_turned_into_examples(given, examples):
    assert in_examples({"seed": 1, "batch_unit": "tokens", **given}, Of16()) == {
        "seed": 1,
        **examples,
    }
    as_written = {"batch_unit": "examples", **given}
    assert in_examples(as_written, Of16()) == given


def test_a_budget_in_tokens_counts_beside_batch_sizes_in_examples():
    given = {"batch_sizes": [4], "race": {"target": 1.0, "max_tokens": 3200}}
    found = in_examples(given, Of16())
    assert found == {"batch_sizes": [4], "race": {"target": 1.0, "max_examples": 200}}
    assert given["race"]["max_tokens"] == 3200  # of the caller


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"batch_unit": "tokens", "batch_sizes": [64, 100]},
            "batch_sizes must be a multiple of the 16 tokens in an example, got 100 tokens; give "
            "96 or 112",
        ),
        (
            {"batch_unit": "tokens", "batch_sizes": {"from": 2}},
            "batch_sizes.from must be a multiple .* got 2 tokens; give 16$",
        ),
        (
            {"batch_unit": "tokens", "recipe": {"base": 17}},
            "recipe.base must be a multiple",
        ),
        ({"race": {"max_tokens": 15}}, "race.max_tokens must be a multiple"),
        (
            {"race": {"max_tokens": 16, "max_examples": 1}},
            "one of race.max_examples and race.max_tokens must be left out",
        ),
    ],
)
def test_what_is_no_whole_number_of_examples_is_refused(given, message):
    with pytest.raises(StudyError, match=message):
        in_examples(given, Of16())


@pytest.mark.parametrize("key", ["batch_unit", "race.max_tokens"])
def test_a_workload_without_tokens_is_refused(key):
    given = {"batch_unit": "tokens"} if key == "batch_unit" else {"race": {"max_tokens": 16}}
    with pytest.raises(StudyError, match=f"{key} needs a workload .* without tokens_per_example"):
        in_examples(given, object())


@pytest.mark.parametrize("tokens", [0, -1, 1.5, True, "16"])
def test_a_workload_whose_number_of_tokens_is_none_is_refused(tokens):
    workload = type("Odd", (), {"tokens_per_example": tokens})()
    with pytest.raises(StudyError, match="tokens_per_example must be a positive integer"):
        in_examples({"batch_unit": "tokens"}, workload)


@pytest.fixture
def of_tokens(tmp_path):
    """Return the reference of a plug-in whose examples have 2 tokens each."""
    path = tmp_path / "of_tokens.py"
    text = "from tests.blobs import Blobs\n\n\nclass OfTokens(Blobs):\n    tokens_per_example = 2\n"
    path.write_text(text)
    return f"{path}:OfTokens"


def test_a_study_in_tokens_runs_and_is_recorded_in_examples(of_tokens):
    given = {"workload": of_tokens, "batch_unit": "tokens", "batch_sizes": [8, 32]}
    study, _ = resolve({**given, "race": {"max_tokens": 640}})
    assert study.batch_sizes == (4, 16)
    assert [study.budget(size) for size in study.batch_sizes] == [80, 20]
    assert study.budgets_differ
    recorded = study.as_data()
    assert recorded["tokens_per_example"] == 2
    assert "batch_unit" not in recorded
    assert resolve(recorded)[0] == study
    examples, _ = resolve(
        {"workload": of_tokens, "batch_sizes": [4], "race": {"max_examples": 320}}
    )
    assert examples.tokens_per_example is None
    assert examples.digest() == study.digest()  # so that either file goes on with the folder


def test_a_token_budget_below_one_batch_is_refused(of_tokens):
    message = r"race.max_examples \(race.max_tokens / 2\) must allow at least one step, got 10 exam"
    given = {"workload": of_tokens, "batch_unit": "tokens", "batch_sizes": [8, 32]}
    with pytest.raises(StudyError, match=message):
        resolve({**given, "race": {"max_tokens": 20}})


def test_a_number_of_tokens_that_has_changed_is_refused(of_tokens):
    study, _ = resolve({"workload": of_tokens, "race": {"max_tokens": 640}})
    with pytest.raises(StudyError, match="tokens_per_example follows from the rest"):
        resolve(study.as_data() | {"workload": BLOBS})


def test_a_workload_may_give_its_defaults_in_tokens(tmp_path):
    path = tmp_path / "own.py"
    path.write_text(
        "from tests.blobs import Blobs\n\n\nclass Own(Blobs):\n    tokens_per_example = 2\n"
        '    study_defaults = {"batch_unit": "tokens", "batch_sizes": [8, 16]}\n'
    )
    study, _ = resolve({"workload": f"{path}:Own"})
    assert (study.batch_sizes, study.tokens_per_example) == ((4, 8), 2)
    study, _ = resolve({"workload": f"{path}:Own", "batch_sizes": [16]})
    assert study.batch_sizes == (16,)
