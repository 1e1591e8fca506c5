"""A tokenizer learned from a corpus: byte-pair encoding (Gage 1994; Sennrich et al. 2016).

Text is first split into words, which tokens do not cross; then the most frequent pair of tokens is
merged into a new token, again and again.
"""

import heapq
import re
from collections import Counter, defaultdict

import numpy as np
import torch
from torch import Tensor

from workloads.errors import WorkloadError

BYTES = 256
"""Tokens 0 to 255 are the bytes."""
MAX_TOKENS = 32_768
_MIN_COUNT = 2
"""Occurrences that a pair needs to be merged."""
_WORD = re.compile(rb" ?[A-Za-z_]+| ?[0-9]+| ?[^\sA-Za-z_0-9]+|\s+", re.DOTALL)

_Pair = tuple[int, int]


def require_size(vocabulary: int) -> None:
    """Refuse a number of tokens that is not an integer from 256 to `MAX_TOKENS`."""
    if not isinstance(vocabulary, int) or not BYTES <= vocabulary <= MAX_TOKENS:
        raise WorkloadError(
            f"`vocabulary` must be an integer from {BYTES} (bytes) to {MAX_TOKENS:,}, got "
            f"{vocabulary!r}"
        )


class Tokenizer:
    """Byte-pair merges in the order in which they were learned."""

    def __init__(self, merges: list[_Pair]) -> None:
        """Number the merges' tokens from 256."""
        self._tokens = {pair: BYTES + rank for rank, pair in enumerate(merges)}

    @classmethod
    def learned(cls, text: bytes, tokens: int) -> "Tokenizer":
        """Return the tokenizer of a text with at most `tokens` tokens, from 256 to `MAX_TOKENS`.

        Equally frequent pairs are merged in the order of their tokens.
        """
        return cls(_merges(Counter(_WORD.findall(text)), tokens - BYTES))

    @property
    def size(self) -> int:
        """Number of tokens."""
        return BYTES + len(self._tokens)

    def encoded(self, text: bytes) -> Tensor:
        """Return the tokens of a text, int32."""
        words = _WORD.findall(text)
        known = {word: self._of_word(word) for word in set(words)}
        tokens = [token for word in words for token in known[word]]
        return torch.from_numpy(np.array(tokens, dtype=np.int32))

    def _of_word(self, word: bytes) -> list[int]:
        tokens = list(word)
        while len(tokens) > 1:
            pairs = zip(tokens, tokens[1:], strict=False)
            pair = min(pairs, key=lambda pair: self._tokens.get(pair, MAX_TOKENS))
            if pair not in self._tokens:
                break
            tokens = _merged(tokens, pair, self._tokens[pair])
        return tokens


def _merges(counts: Counter[bytes], merges: int) -> list[_Pair]:
    """Return the merges that byte-pair encoding learns from the counts of words."""
    words, times = [list(word) for word in counts], list(counts.values())
    pairs: Counter[_Pair] = Counter()
    places: defaultdict[_Pair, set[int]] = defaultdict(set)
    for index, word in enumerate(words):
        _count(word, times[index], index, pairs, places)
    queue = [(-count, pair) for pair, count in pairs.items()]
    heapq.heapify(queue)
    learned: list[_Pair] = []
    while queue and len(learned) < merges:
        negative, pair = heapq.heappop(queue)
        if -negative != pairs[pair] or negative > -_MIN_COUNT:  # outdated, or too rare
            continue
        learned.append(pair)
        changed: set[_Pair] = set()
        for index in places.pop(pair):
            changed.update(zip(words[index], words[index][1:], strict=False))
            _count(words[index], -times[index], index, pairs, places)
            words[index] = _merged(words[index], pair, BYTES + len(learned) - 1)
            _count(words[index], times[index], index, pairs, places)
            changed.update(zip(words[index], words[index][1:], strict=False))
        for other in changed:
            heapq.heappush(queue, (-pairs[other], other))
    return learned


def _count(
    word: list[int],
    times: int,
    index: int,
    pairs: Counter[_Pair],
    places: defaultdict[_Pair, set[int]],
) -> None:
    """Add a word's pairs, `times` each; `places` may keep words that a pair has left."""
    for pair in zip(word, word[1:], strict=False):
        pairs[pair] += times
        places[pair].add(index)


def _merged(tokens: list[int], pair: _Pair, token: int) -> list[int]:
    merged: list[int] = []
    place = 0
    while place < len(tokens):
        if tuple(tokens[place : place + 2]) == pair:
            merged.append(token)
            place += 2
        else:
            merged.append(tokens[place])
            place += 1
    return merged
