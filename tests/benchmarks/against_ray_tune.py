"""Compares `batchscale sweep` to a script that uses Ray Tune as it is made to be used.

Both sides try the same points at the same batch sizes, on the same data split, to the same target,
within the same step budget, measured at the same steps, with as many workers; wall-clock of the
whole command, from process start to exit. The peer, peer_ray_tune.py, is one Tuner per batch size
with OptunaSearch, a function trainable, a torch DataLoader and torch.optim.SGD. That its trials ran
the given points is checked against its results.

What is not equal: initial weights and the order of the data, so that steps to target agree only
statistically; and when hopeless trials stop. batchscale stops a trial at 1.5 times the fewest steps
of its batch size, the peer's run to the budget: no part of Ray Tune does that by itself
(--peer-slack gives it a stopper that does). --batches indexing replaces the DataLoader by plain
indexing.

Not compared: what either would find with a search that learns, schedulers such as ASHA, which trade
the fewest steps for time, and more than one machine.
"""

from against import compare, options

HOW = {"dataloader": "Ray Tune", "indexing": "Ray Tune, indexing"}


def main() -> None:
    parser = options(__doc__)
    parser.add_argument(
        "--batches",
        choices=[*HOW, "both"],
        default="dataloader",
        help="how the peer makes batches; default dataloader",
    )
    parser.add_argument(
        "--no-reuse-actors",
        action="store_true",
        help="start a worker process for each of the peer's trials",
    )
    chosen = parser.parse_args()
    ways = list(HOW) if chosen.batches == "both" else [chosen.batches]
    reuse = not chosen.no_reuse_actors
    compare(
        chosen,
        "peer_ray_tune.py",
        {HOW[way]: {"batches": way, "reuse_actors": reuse} for way in ways},
    )


if __name__ == "__main__":
    main()
