"""What the benchmarks share: timed commands, their memory, interleaved repeats, ratios, output.

A benchmark compares a few cases. Every case runs once in each repeat, in alternating order, so a
slow minute of the machine affects all of them. Ratios of medians are reported; the JSON file has
every repeat. Commands are timed from the start of their process to its exit. Their memory and
processor time are read from /proc (Linux) while they run.
"""

import argparse
import contextlib
import json
import math
import os
import platform
import re
import signal
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, TypeVar

from rich import box
from rich.console import Console
from rich.table import Table

PACKAGES = ("batchscale", "torch", "ray", "optuna", "numpy", "pandas", "pyarrow")
MIB = 2**20
_TICK = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")

T = TypeVar("T")

# with a width, since tables in a file or a pipe would be cut at 80 columns
console = Console(highlight=False, width=None if sys.stdout.isatty() else 130)


# --- commands ---------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Process:
    """Time and memory of one process in a command's tree; memory in bytes.

    `peak_rss` is the kernel's high-water mark. `peak_pss` (with its share of shared pages) and
    `peak_uss` (its private pages) are the largest samples; None if not sampled.
    """

    pid: int
    title: str
    cpu_seconds: float
    peak_rss: int
    peak_pss: int | None
    peak_uss: int | None


@dataclass(frozen=True, kw_only=True)
class Finished:
    """A command that has ended.

    `seconds` is its wall-clock time, `started` its start in seconds since the epoch, `lines` its
    output with the seconds since the start, `processes` its process tree with the command itself
    first, `peak_rss` and `peak_pss` the largest sums over the tree at one moment, and `root_rss`
    the memory of the command's own process at times since its start.
    """

    command: list[str]
    started: float
    seconds: float
    lines: list[tuple[float, str]]
    processes: list[Process]
    peak_rss: int
    peak_pss: int | None
    root_rss: list[tuple[float, int]]

    @property
    def cpu_seconds(self) -> float:
        return sum(process.cpu_seconds for process in self.processes)


def run(
    command: Sequence[str | Path],
    *,
    folder: Path | None = None,
    pss: bool = False,
    interval: float = 0.2,
    limit: float = 7200.0,
) -> Finished:
    """Run a command and watch its process tree; exit if the command fails.

    `pss` also reads smaps_rollup, which slows the watched processes: not for timings.
    """
    words = [str(word) for word in command]
    environment = os.environ | {"NO_COLOR": "1", "COLUMNS": "160", "PYTHONUNBUFFERED": "1"}
    started, clock = time.time(), time.perf_counter()
    process = subprocess.Popen(
        words,
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    watch = Watch(process.pid, interval, pss)
    lines: list[tuple[float, str]] = []
    reader = threading.Thread(target=_read, args=(process, clock, lines), daemon=True)
    reader.start()
    with _ended(process), watch:
        try:
            code = process.wait(timeout=limit)
        except subprocess.TimeoutExpired:
            raise SystemExit(f"no end after {limit:.0f} s: {' '.join(words)}") from None
        seconds = time.perf_counter() - clock
    reader.join(timeout=5)
    if code != 0:
        printed = "\n".join(line for _, line in lines[-30:])
        raise SystemExit(f"exit code {code} from: {' '.join(words)}\n{printed}")
    return Finished(
        command=words,
        started=started,
        seconds=seconds,
        lines=lines,
        processes=watch.processes(),
        peak_rss=watch.peak_rss,
        peak_pss=watch.peak_pss if pss else None,
        root_rss=watch.root_rss,
    )


def _read(process: subprocess.Popen[str], clock: float, lines: list[tuple[float, str]]) -> None:
    assert process.stdout is not None
    with process.stdout:
        for line in process.stdout:
            lines.append((time.perf_counter() - clock, line.rstrip()))


@contextlib.contextmanager
def _ended(process: subprocess.Popen[str]) -> Iterator[None]:
    """End the command if the benchmark is interrupted; Ray's own processes end with it."""
    try:
        yield
    finally:
        if process.poll() is None:
            for number, patience in ((signal.SIGTERM, 15), (signal.SIGKILL, 15)):
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, number)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(timeout=patience)
                    break


# --- processes --------------------------------------------------------------------------------


@dataclass
class _Seen:
    title: str
    cpu_seconds: float = 0.0
    peak_rss: int = 0
    peak_pss: int | None = None
    peak_uss: int | None = None


@dataclass
class Watch:
    """A context that samples the tree under a process every `interval` seconds."""

    root: int
    interval: float
    pss: bool
    peak_rss: int = 0
    peak_pss: int = 0
    root_rss: list[tuple[float, int]] = field(default_factory=list)
    _started: float = field(default_factory=time.perf_counter)
    _seen: dict[tuple[int, str], _Seen] = field(default_factory=dict)
    _stop: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def __enter__(self) -> "Watch":
        self._thread = threading.Thread(target=self._loop, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def processes(self) -> list[Process]:
        """Return every process seen, the root first."""
        found = [Process(pid=pid, **asdict(seen)) for (pid, _), seen in self._seen.items()]
        return sorted(found, key=lambda process: (process.pid != self.root, process.pid))

    def _loop(self) -> None:
        ended = False
        while not ended:
            self._sample()
            ended = self._stop.wait(self.interval)

    def _sample(self) -> None:
        rss_sum = pss_sum = 0
        for pid, stat in tree(self.root).items():
            try:
                rss = int(stat[21]) * _PAGE
                # with its start time, since process ids are reused
                seen = self._seen.setdefault((pid, stat[19]), _Seen(title=""))
                seen.title = _title(pid, seen.title)
                seen.cpu_seconds = (int(stat[11]) + int(stat[12])) / _TICK
                status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
                high = re.search(r"^VmHWM:\s+(\d+) kB", status, re.MULTILINE)
                seen.peak_rss = max(seen.peak_rss, rss, int(high[1]) * 1024 if high else 0)
                rss_sum += rss
                if pid == self.root:
                    self.root_rss.append((time.perf_counter() - self._started, rss))
                if self.pss:
                    pss, uss = rollup(Path(f"/proc/{pid}/smaps_rollup").read_text("utf-8"))
                    seen.peak_pss = max(seen.peak_pss or 0, pss)
                    seen.peak_uss = max(seen.peak_uss or 0, uss)
                    pss_sum += pss
            except (FileNotFoundError, ProcessLookupError, PermissionError):
                continue  # it has just ended
        self.peak_rss = max(self.peak_rss, rss_sum)
        self.peak_pss = max(self.peak_pss, pss_sum)


def tree(root: int) -> dict[int, list[str]]:
    """Return the fields of /proc/PID/stat after the name, for a process and all below it."""
    stats: dict[int, list[str]] = {}
    below: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                fields = (entry / "stat").read_text(errors="replace").rpartition(") ")[2].split()
                stats[int(entry.name)] = fields
                below.setdefault(int(fields[1]), []).append(int(entry.name))
    found, waiting = {}, [root]
    while waiting:
        pid = waiting.pop()
        if pid in stats:
            found[pid] = stats[pid]
            waiting += below.get(pid, [])
    return found


def rollup(text: str) -> tuple[int, int]:
    """Return proportional and unique set size, in bytes, from a smaps_rollup file."""
    kib = {name: int(value) for name, value in re.findall(r"^(\w+):\s+(\d+) kB", text, re.M)}
    return 1024 * kib["Pss"], 1024 * (kib["Private_Clean"] + kib["Private_Dirty"])


def _title(pid: int, before: str) -> str:
    """Return a process's title; an idle Ray worker keeps that of its last task."""
    text = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
    title = short_title(text.rstrip("\0").split("\0"))
    if not title or (title == "ray::IDLE" and before.startswith("ray::")):
        return before
    return title


def short_title(words: Sequence[str]) -> str:
    """Return the program without folders and options: `sweep.py` for `python -u /home/sweep.py`."""
    program = words[0].split(" ")[0].rpartition("/")[2]
    if program.startswith("python"):
        scripts = [word for word in words[1:] if not word.startswith("-")]
        return scripts[0].rpartition("/")[2] if scripts else program
    return program


def role(process: Process, root: int) -> str:
    """Return the role of a process in a Ray program: driver, worker, idle worker, or Ray's own."""
    if process.pid == root:
        return "driver"
    if process.title == "ray::IDLE":
        return "idle worker"
    worker = process.title.startswith("ray::") and not process.title.endswith("Agent")
    return "worker" if worker else "Ray's own"


# --- repeats and ratios -----------------------------------------------------------------------


def interleaved(cases: Mapping[str, Callable[[], T]], repeats: int) -> dict[str, list[T]]:
    """Run every case once per repeat, in reverse order in every second repeat."""
    results: dict[str, list[T]] = {name: [] for name in cases}
    for repeat in range(repeats):
        names = list(cases)[:: 1 if repeat % 2 == 0 else -1]
        for name in names:
            began = time.perf_counter()
            results[name].append(cases[name]())
            took = time.perf_counter() - began
            progress(f"repeat {repeat + 1}/{repeats}, {name}: {took:.1f} s")
    return results


@dataclass(frozen=True, kw_only=True)
class Spread:
    """Median and range of repeats."""

    median: float
    low: float
    high: float
    repeats: int

    def __str__(self) -> str:
        return f"{number(self.median)} ({number(self.low)} to {number(self.high)})"


def spread(values: Iterable[float]) -> Spread:
    """Summarize repeats, at least one."""
    values = list(values)
    return Spread(
        median=statistics.median(values), low=min(values), high=max(values), repeats=len(values)
    )


def ratio(over: Iterable[float], under: Iterable[float]) -> float:
    """Return the ratio of two medians."""
    return statistics.median(over) / statistics.median(under)


def ratios(over: Sequence[float], under: Sequence[float]) -> str:
    """Write the ratio of two medians, with the smallest and the largest ratio in one repeat."""
    pairs = [a / b for a, b in zip(over, under, strict=True)]
    return f"{times(ratio(over, under))} ({number(min(pairs))} to {number(max(pairs))})"


# --- output -----------------------------------------------------------------------------------


def number(value: float) -> str:
    """Write a number with three significant digits, or all digits before the point."""
    if math.isnan(value):
        return "-"
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2 if abs(value) >= 1 else 3
    return f"{value:,.{digits}f}"


def times(value: float) -> str:
    """Write a ratio."""
    return f"{number(value)}x"


def progress(line: str) -> None:
    """Print progress to standard error, which keeps standard output to the tables."""
    print(line, file=sys.stderr, flush=True)


def show(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]], note: str = "") -> None:
    """Print a table; all columns but the first are numbers."""
    table = Table(
        title=title, title_justify="left", box=box.SIMPLE_HEAD, caption=note, caption_justify="left"
    )
    for index, name in enumerate(columns):
        table.add_column(name, justify="left" if index == 0 else "right")
    for row in rows:
        table.add_row(*row)
    console.print(table)


def arguments(doc: str | None, *, repeats: int) -> argparse.ArgumentParser:
    """Return a parser with the options that every benchmark has."""
    parser = argparse.ArgumentParser(
        description=doc, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=positive, default=repeats, help=f"default {repeats}")
    parser.add_argument("--json", type=Path, metavar="PATH", help="write every repeat there")
    return parser


def positive(text: str) -> int:
    """Read a whole number of at least 1."""
    value = int(text)
    if value < 1:
        raise ValueError(f"must be at least 1, got {text}")
    return value


def positives(text: str) -> list[int]:
    """Read whole numbers separated by commas."""
    return [positive(part) for part in text.split(",")]


def write_json(options: argparse.Namespace, **measured: Any) -> None:
    """Write the measurements, with command, machine and versions, if a path was given."""
    if options.json is None:
        return
    script = Path(sys.argv[0])  # also with -m
    module = f"tests.benchmarks.{script.parent.name}.{script.stem}"
    chosen = {name: value for name, value in vars(options).items() if name != "json"}
    content = {
        "benchmark": script.stem,
        "command": ["python", "-m", module, *map(_without_folder, sys.argv[1:])],
        "options": chosen,
        "ended": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "machine": machine(),
        "versions": versions(),
        **measured,
    }
    options.json.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(content, indent=1, default=_plain) + "\n"
    options.json.write_text(text, encoding="utf-8")
    progress(f"wrote {options.json}")


def _without_folder(word: str) -> str:
    return Path(word).name if word.startswith("/") else word


def _plain(value: object) -> object:
    if isinstance(value, Path):
        return value.name
    data = {each.name: getattr(value, each.name) for each in fields(value)}  # type: ignore[arg-type]
    if isinstance(value, Finished):
        # the command has temporary folders, and its output is only needed for errors
        del data["lines"], data["command"], data["root_rss"]
        data["cpu_seconds"] = value.cpu_seconds
    return data


def machine() -> dict[str, Any]:
    """Return a description of the machine and its load."""
    return {
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(os.sysconf("SC_PHYS_PAGES") * _PAGE / 2**30, 1),
        "load": [round(load, 2) for load in os.getloadavg()],
    }


def _processor() -> str:
    with contextlib.suppress(OSError):
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
        name = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
        if name:
            return name[1]
    return platform.processor()


def versions() -> dict[str, str | None]:
    """Return the versions of Python and the main packages, and the commit."""
    found: dict[str, str | None] = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = None
    return found | {"commit": _commit()}


def peers(*names: str) -> str:
    """Return packages with their versions, for the note under a table."""
    return ", ".join(f"{name} {versions()[name]}" for name in names)


def _commit() -> str | None:
    here = Path(__file__).parent
    try:
        words = ["git", "-C", str(here), "describe", "--always", "--dirty", "--abbrev=12"]
        return subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


def cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0))
