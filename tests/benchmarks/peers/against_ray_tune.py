"""Compares `batchscale sweep` to a script that uses Ray Tune as it is made to be used.

Both sides try the same points at the same batch sizes, on the same data split, to the same target,
within the same step budget, measured at the same steps, with as many workers; wall-clock of the
whole command, from process start to exit. The peer, peer_ray_tune.py, is one Tuner per batch size
with OptunaSearch, a function trainable, a torch DataLoader and torch.optim.SGD. That its trials ran
the given points is checked against its results.

--peer usual is the script that Tune's guides lead to: a DataLoader, a report at each evaluation.
--peer lean is the same with the two dearest of its habits given up: batches by plain indexing, and
one report at the end, which leaves no learning curve in Tune's results.

What is not equal: initial weights and the order of the data, so that steps to target agree only
statistically; and when hopeless trials stop. batchscale stops a trial at 1.5 times the fewest steps
of its batch size, the peer's run to the budget: no part of Ray Tune does that by itself
(--peer-slack gives the usual peer a stopper that does).

Not compared: what either would find with a search that learns, schedulers such as ASHA, which trade
the fewest steps for time, and more than one machine.
"""

from tests.benchmarks.peers.against import compare, options

PEERS = {
    "usual": {"batches": "dataloader", "report": "each"},
    "lean": {"batches": "indexing", "report": "last"},
}
NAMES = {"usual": "Ray Tune", "lean": "Ray Tune, lean"}


def main() -> None:
    parser = options(__doc__)
    parser.add_argument(
        "--peer", choices=[*PEERS, "both"], default="usual", help="which script; default usual"
    )
    parser.add_argument(
        "--no-reuse-actors",
        action="store_true",
        help="start a worker process for each of the peer's trials",
    )
    chosen = parser.parse_args()
    ways = list(PEERS) if chosen.peer == "both" else [chosen.peer]
    if chosen.peer_slack and "lean" in ways:
        parser.error("--peer-slack needs --peer usual: a stopper sees only what is reported")
    reuse = {"reuse_actors": not chosen.no_reuse_actors}
    peers = {NAMES[way]: ("peer_ray_tune.py", PEERS[way] | reuse) for way in ways}
    compare(chosen, peers)


if __name__ == "__main__":
    main()
