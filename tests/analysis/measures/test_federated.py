"""A federated study: its examples, its sentences, and a comparison with a plain study."""

from dataclasses import replace

import pytest

from analysis.archive.exporting import export_study
from analysis.comparison.compare import compare
from analysis.comparison.report import comparison_markdown, examples_table, steps_table
from analysis.errors import AnalysisError
from analysis.figures import draw
from analysis.measures.budgets import Budget, Unit, best_errors, choose_budgets
from analysis.measures.federated import batch_axis, round_sentences, steps_axis
from analysis.measures.targets import steps_to_target
from analysis.report.record import sentences, summary_record
from analysis.report.summary import analyze
from analysis.tables.folder import ResultsFolder

FEDAVG = {"clients": 8, "local_steps": 4, "shards": "iid"}
PLAIN = {"workload": "digits-mlp", "optimizer": "sgd"}


@pytest.fixture(scope="module")
def rounds(study):
    """The simulated study, read as one of four local steps per round."""
    return replace(study, name="rounds", config={**study.config, "federated": FEDAVG})


def test_examples_to_target_count_every_local_step(study, rounds):
    plain, table = steps_to_target(study), steps_to_target(rounds)
    assert table["steps"].tolist() == plain["steps"].tolist()
    assert (table["examples"] == 4 * plain["examples"]).all()
    assert (table["examples"] == 4 * table["steps"] * table["batch_size"]).all()


def test_a_budget_of_examples_holds_fewer_rounds(study, rounds):
    for amount in (64, 1000, 8192):
        given = [Budget(unit=Unit.EXAMPLES, amount=amount)]
        fourth = [Budget(unit=Unit.EXAMPLES, amount=amount // 4)]
        ours, theirs = best_errors(rounds, given), best_errors(study, fourth)
        assert len(ours) == len(theirs) > 0
        for column in ("batch_size", "steps", "best_error", "exact"):
            assert ours[column].tolist() == theirs[column].tolist()
    chosen = [b.amount for b in choose_budgets(rounds) if b.unit is Unit.EXAMPLES]
    before = [b.amount for b in choose_budgets(study) if b.unit is Unit.EXAMPLES]
    assert chosen[-1] == pytest.approx(4 * before[-1], rel=0.1)


def test_the_summary_explains_a_round(rounds):
    analysis = analyze(rounds)
    assert sentences(analysis)[0] == (
        "A step is a round of FedAvg: 8 clients take 4 steps each, on B / 8 examples of their own "
        "shards (iid), and their models are averaged. It uses 4 B examples, all of which "
        "E_min counts: b_crit = E_min / (4 S_min)."
    )
    told, record = sentences(analysis), summary_record(analysis)["fits"]["hyperbola"]
    assert record["e_min"]["value"] == pytest.approx(4 * analysis.fit.e_min.value)
    assert any("S(B) = S_min + E_min / (4 B): S_min = " in sentence for sentence in told)
    assert any(" rounds (" in sentence for sentence in told)
    assert "FedAvg of nesterov" in analysis.title
    axes = draw(analysis).axes[0]
    assert axes.get_ylabel().startswith("Rounds to target")
    assert axes.get_xlabel() == "Global batch size (examples)"


@pytest.mark.parametrize(
    ("section", "words"),
    [
        (
            {"local_batch_size": 16, "local_steps": 1, "shards": "dirichlet", "alpha": 0.3},
            "B / 16 clients take 1 step each, on 16 examples of their own shards (dirichlet 0.3), "
            "and their models are averaged. It uses B examples.",
        ),
    ],
)
def test_the_sentence_about_a_round(section, words):
    assert round_sentences(PLAIN) == ()
    assert round_sentences(PLAIN | {"federated": section}) == (
        f"A step is a round of FedAvg: {words}",
    )


def test_axes_of_mixed_studies_name_steps_and_rounds():
    fedavg = PLAIN | {"federated": FEDAVG}
    assert steps_axis([PLAIN]) == "Steps to target (optimizer updates)"
    assert batch_axis([PLAIN, PLAIN]) == "Batch size (examples)"
    tokens = {**PLAIN, "tokens_per_example": 16}
    assert batch_axis([tokens, tokens]) == "Batch size (examples of 16 tokens)"
    assert batch_axis([tokens, PLAIN]) == "Batch size (examples)"
    assert steps_axis([fedavg, PLAIN]) == steps_axis([PLAIN, fedavg])
    assert "rounds" in steps_axis([PLAIN, fedavg])
    assert batch_axis([PLAIN, fedavg]).startswith("Global")


def test_a_comparison_shows_examples_where_a_step_uses_more_of_them_in_one_study(study, rounds):
    both = compare({"plain": study, "rounds": rounds})
    assert [one.label for one in both.studies] == [
        "federated = none", "federated = 8 clients x 4 steps iid",
    ]  # fmt: skip
    steps, used = steps_table(both), examples_table(both)
    for label, per_step in zip(steps.columns[1:], (1, 4), strict=True):
        taken = [int(cell.split()[0]) for cell in steps[label]]
        sizes = steps["B"].astype(int)
        expected = [str(s * b * per_step) for s, b in zip(taken, sizes, strict=True)]
        assert used[label].tolist() == expected
    assert "Examples to target" in comparison_markdown(both)
    alike = replace(both, studies=both.studies[1:] * 2)
    assert examples_table(alike) is None


def test_rounds_are_not_exported_as_updates(rounds, tmp_path, monkeypatch):
    monkeypatch.setattr("analysis.archive.exporting.read_study", lambda folder: rounds)
    with pytest.raises(AnalysisError, match="steps are updates, got rounds of FedAvg"):
        export_study(ResultsFolder.at(str(tmp_path)), tmp_path / "archive")
    assert not list(tmp_path.iterdir())
