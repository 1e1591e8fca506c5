"""What is said of a cost."""

from analysis.cost.sentences import cost_sentences


def test_disturbed_times_are_reported_first(cost, costs):
    quiet, loud = costs(cores_lacking=0.1, threads=2), costs(cores_lacking=0.9, threads=2)
    assert not any("other programs took" in text for text in cost_sentences(cost(made=quiet)))
    first = cost_sentences(cost(made=loud))[0]
    assert first.startswith("B = 2, 4, 8, ")
    assert "other programs took up to 0.9 cores from the 2 threads" in first
