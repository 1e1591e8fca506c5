"""Compare `batchscale sweep` with scripts that use Optuna alone, a plain and a clever one.

Both sides try the same points at the same batch sizes, with the same data split, target, step
budget and measured steps. The wall-clock time is that of the whole command, from process start to
exit. The plain peer, peer_optuna.py, runs one trial after another in one process: a loop with
torch.optim.SGD, batches by indexing, no Ray and no DataLoader. Torch uses its default number of
threads, as in most users' scripts; --threads 1,default measures both. The clever peer,
peer_lanes.py, trains 16 lanes at once under vmap, stops them at 1.5 times the fewest steps, and
uses as many processes as batchscale has workers. batchscale uses one worker per core, with one
thread each.

Not equal: initial weights and the order of the data, so steps to target agree only statistically;
and when hopeless trials stop. batchscale stops a trial at 1.5 times the fewest steps of its batch
size, the plain peer's trials run to the budget (--peer-slack stops them too).

Not compared: the results of a search that learns, and several plain peers at once.
"""

from tests.benchmarks.measuring import positive
from tests.benchmarks.peers.against import compare, options

Peers = dict[str, tuple[str, dict[str, int | None]]]


def threads(text: str) -> list[int | None]:
    """Read numbers of threads, or `default`, separated by commas."""
    return [None if part == "default" else positive(part) for part in text.split(",")]


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--peer", choices=["plain", "clever", "both"], default="both")
    parser.add_argument(
        "--threads",
        type=threads,
        default=[None],
        metavar="N,...",
        help="torch threads of the plain peer, a number or default; default default",
    )
    chosen = parser.parse_args()
    plain: Peers = {_name(n): ("peer_optuna.py", {"threads": n}) for n in chosen.threads}
    clever: Peers = {"Optuna, vmap over 16 lanes": ("peer_lanes.py", {})}
    compare(chosen, {"plain": plain, "clever": clever, "both": plain | clever}[chosen.peer])


def _name(count: int | None) -> str:
    if count is None:
        return "Optuna, plain loop"
    return f"Optuna, plain loop, {count} thread{'s' if count > 1 else ''}"


if __name__ == "__main__":
    main()
