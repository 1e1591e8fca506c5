"""Byte-pair encoding against a full count at each merge, and decoding back to the text."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workloads.builtin.language import TextTransformer
from workloads.data.text import text
from workloads.data.tokens import _WORD, Tokenizer
from workloads.errors import WorkloadError

TEXTS = st.text("ab c1\n", max_size=60).map(str.encode)


def merged(word, pair, token):
    out = []
    for one in word:
        if out and (out[-1], one) == pair:
            out[-1] = token
        else:
            out.append(one)
    return out


def slowly(source, tokens):
    """Return a text as tokens, and the bytes of each token."""
    words, meaning = (
        [list(word) for word in _WORD.findall(source)],
        [bytes([n]) for n in range(256)],
    )
    while len(meaning) < tokens:
        pairs = Counter(pair for word in words for pair in zip(word, word[1:], strict=False))
        best = min(pairs, key=lambda pair: (-pairs[pair], pair), default=None)
        if best is None or pairs[best] < 2:
            break
        words = [merged(word, best, len(meaning)) for word in words]
        meaning.append(meaning[best[0]] + meaning[best[1]])
    return [token for word in words for token in word], meaning


@settings(max_examples=60, deadline=None)
@given(TEXTS, st.integers(256, 270))
def test_tokens_equal_those_of_a_full_count_at_each_merge(source, tokens):
    tokenizer, (expected, meaning) = Tokenizer.learned(source, tokens), slowly(source, tokens)
    assert tokenizer.size == len(meaning)
    assert tokenizer.encoded(source).tolist() == expected
    assert b"".join(meaning[token] for token in expected) == source


@given(TEXTS, TEXTS)
def test_other_text_survives_a_round_trip(source, other):
    meaning = slowly(source, 266)[1]
    found = Tokenizer.learned(source, 266).encoded(other).tolist()
    assert b"".join(meaning[token] for token in found) == other


def test_a_text_in_tokens_has_fewer_windows_and_an_error_per_byte(tmp_path):
    place = tmp_path / "t.txt"
    place.write_bytes(b"the cat and the other cat " * 200)
    found = text(str(place), 8, 280)
    assert found.tokens_per_byte == pytest.approx(1 / 4, abs=0.1)
    workload = TextTransformer(str(place), 8, width=8, layers=1, heads=1, vocabulary=280)
    model, batch = workload.model(), workload.data().validation
    ratio = workload.error(model, batch) / workload.loss(model, batch)
    assert ratio.item() == pytest.approx(found.tokens_per_byte)
    assert model(batch.inputs).shape[-1] == 280


@pytest.mark.parametrize("vocabulary", [255, 40_000, 300.0])
def test_a_number_of_tokens_outside_the_range_is_refused(vocabulary):
    with pytest.raises(WorkloadError, match=f"from 256 .* to 32,768, got {vocabulary}"):
        TextTransformer(vocabulary=vocabulary)


def test_a_mapped_file_is_not_tokenized(tmp_path, monkeypatch):
    monkeypatch.setattr("workloads.data.text.IN_MEMORY", 100)
    (tmp_path / "t.txt").write_bytes(b"word " * 100)
    with pytest.raises(WorkloadError, match="must be 256 for a file over 100 bytes.*got 300; spl"):
        text(str(tmp_path / "t.txt"), 8, 300)
