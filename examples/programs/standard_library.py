"""Logistic regression in plain Python: any program that prints its measurements as JSON works."""

import argparse
import json
import math
import random

MEASURED_EVERY = 5


def examples(count, seed):
    """Return points of two classes and their labels."""
    draw = random.Random(seed)
    labels = [draw.random() < 0.5 for _ in range(count)]
    return [((draw.gauss(2.0 * y, 1), draw.gauss(1.0 * y, 2)), y) for y in labels]


def probability(weights, point):
    """Return the probability of the second class."""
    score = weights[0] + sum(w * x for w, x in zip(weights[1:], point, strict=True))
    return 1 / (1 + math.exp(-max(-30.0, min(30.0, score))))


def main():
    """Train, and print the validation error every few steps."""
    parser = argparse.ArgumentParser()
    for name, kind in (("lr", float), ("batch-size", int), ("seed", int), ("max-steps", int)):
        parser.add_argument(f"--{name}", type=kind, required=True)
    given = parser.parse_args()
    train, validation = examples(1000, seed=0), examples(500, seed=1)
    draw = random.Random(given.seed)
    weights = [draw.gauss(0, 1) - 1 for _ in range(3)]
    for step in range(given.max_steps + 1):
        if step % MEASURED_EVERY == 0:
            wrong = sum((probability(weights, x) > 0.5) != y for x, y in validation)
            print(json.dumps({"step": step, "val_error": wrong / len(validation)}), flush=True)
        batch = draw.sample(train, given.batch_size)
        gaps = [(probability(weights, x) - y, (1, *x)) for x, y in batch]
        for i in range(3):
            weights[i] -= given.lr * sum(gap * x[i] for gap, x in gaps) / len(batch)


if __name__ == "__main__":
    main()
