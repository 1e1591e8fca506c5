"""Compare `batchscale sweep` with a script that uses Ray Tune as intended.

Both sides try the same points at the same batch sizes, with the same data split, target, step
budget, measured steps and number of workers. The wall-clock time is that of the whole command, from
process start to exit. The peer, peer_ray_tune.py, runs one Tuner per batch size with OptunaSearch,
a function trainable, a torch DataLoader and torch.optim.SGD. Its results are checked to be for the
given points.

--peer usual is the script that Tune's guides suggest: a DataLoader, a report at each evaluation.
--peer lean avoids the two most expensive parts: it draws batches by plain indexing, and reports
once at the end, which leaves no learning curve in Tune's results.

Not equal: initial weights and the order of the data, so steps to target agree only statistically;
and when hopeless trials stop. batchscale stops a trial at 1.5 times the fewest steps of its batch
size, the peer's trials run to the budget, since Ray Tune has no such rule (--peer-slack gives the
usual peer a stopper with that rule).

Not compared: the results of a search that learns, schedulers such as ASHA, which trade the fewest
steps for time, and more than one machine.
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
