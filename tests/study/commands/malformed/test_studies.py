"""Malformed study files, made by mutation of a sound one: each is refused in words, before a write.

A sound file is a line for each key; a mutation replaces, renames, repeats or breaks lines. Every
case goes through the real command.
"""

import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.main import get_command

from study.commands import app as cli
from tests.study.commands.malformed.fuzzing import tried

BLOBS = Path(__file__).parents[3] / "blobs.py"
SOUND = {
    "workload": f'"{BLOBS}:Blobs"',
    "optimizer": '"nesterov"',
    "batch_sizes": "[4, 16]",
    "seed": "0",
    "workload_options": "{}",
    "search.sampler": '"halton"',
    "search.trials": "4",
    "search.extend": "0",
    "search.warm_start": "false",
    "search.space.lr": '{ low = 1e-3, high = 1.0, scale = "log" }',
    "search.space.momentum": '{ low = 0.0, high = 0.9, scale = "reverse-log" }',
    "race.to": '"target"',
    "race.target": "0.1",
    "race.quantity": '"error"',
    "race.max_steps": "20",
    "race.max_epochs": "2.5",
    "race.slack": "1.5",
    "race.resolution": "0.03",
    "race.cohort": '"auto"',
    "compute.mode": '"auto"',
    "replicates.seeds": "2",
    "replicates.top": "1",
    "replicates.slack": "4.0",
    "schedule.name": '"constant"',
    "compute.precision": '"float32"',
    "compute.pack": '"auto"',
    "compute.micro_batch": '"auto"',
    "compute.checkpoint_minutes": "5.0",
    "compute.cohort_minutes": "600.0",
}
TABLES = ("search", "search.space", "race", "replicates", "schedule", "compute")

PRIVATE = ("Traceback", "instance of", "constrained", "literal[", "pydantic", "tomllib")
"""Words of the code, which a message must not have."""
SNIPPETS = [
    b"[",
    b"]",
    b"{",
    b"}",
    b"'",
    b'"',
    b"=",
    b".",
    b"#",
    b"\n",
    b"nan",
    b"1e999",
    b"0",
    b"-",
]


def words(text: str) -> list[str]:
    return text.split()


# each value without a space, as a line of the file has it
MOMENTS = words("1979-05-27 07:32:00 1979-05-27T07:32:00Z 1979-05-27T07:32:00.5")
ENORMOUS = [
    "9" * 30,
    f"-{'9' * 30}",
    f"0x{'f' * 40}",
    f"0x{'f' * 5000}",
    "1_000_000_000_000_000_000_000_000",
]
BOTTOMLESS = words("nan -nan inf -inf 1e999 -1e999")
LISTS = words('[] [1] [[]] [[1,2],[3]] ["a"] [{}]')
TEXTS = words(r'"" "\t" "two" "1" "\n" "\u0000" "\uff15" "\U0001F600" "\u202e"')
STRINGS = [f'"{"x" * 5000}"', *TEXTS]
EMPTY_TABLES = words('{} {a=1} {a.b.c={}} {""=1}')
VALUES = [*MOMENTS, *BOTTOMLESS, *LISTS, *STRINGS, *EMPTY_TABLES]
WHOLE = [*VALUES, *ENORMOUS, "true", "2.5", "-1"]
NUMBER = [*VALUES, "true", "false", "-1", "-0.5"]
WORD = [*VALUES, *ENORMOUS, "true", "0", "2.5"]
YES_OR_NO = [*(word for word in WORD if word != "true"), "1", '"yes"', '"false"']
TABLE = [*(word for word in WORD if word not in EMPTY_TABLES)]
LANES = [*(w for w in WHOLE if w != "{}"), *words("0 {lanes=0} {examples=0} {lane=1}")]
RANGES = words("""
    {low=1.0} {high=1.0} {scale="log"} {low=0.9,high=0.1} {low=0.1,high=0.1}
    {low=-1.0,high=1.0,scale="log"} {low=0.0,high=1.0,scale="reverse-log"} [0.1,0.2]
    {low=0.1,high=0.2,scale="loog"} {low=0.1,high=0.2,scale=1} {low=0.1,high=0.2,step=0.01}
    {low="0.1",high=0.2} {low=0.1,high=true} {low=nan,high=0.2} {low=0.1,high=inf}
    {low=[0.1],high=0.2} {low={},high=0.2} {low=1979-05-27,high=0.2}
""")
BATCH_SIZES = words("""
    [] [[]] [[4]] ["4"] [4.0] true [0] [-4] [4,4] [true] [nan] [{}] [4,100_000] 4 4.0
    {from=8,to=4} {from=0} {from="all"} {to="al"} {to=0} {to=-1} {to=2.5} {to=[]}
    {from=1,upto=4} {to=100_000} {to=true} {to=inf}
""")
FEDERATED = words("""
    {} {clients=0} {clients=2.0} {clients="2"} {clients=true} {clients=3} {local_batch_size=3}
    {clients=2,local_batch_size=2} {clients=2,local_steps=0} {clients=2,local_steps=1.5}
    {clients=2,alpha=1.0} {clients=2,shards="dirichlet"} {clients=2,shards="IID"}
    {clients=2,shards="dirichlet",alpha=0} {clients=2,shards="dirichlet",alpha=nan}
    {clients=2,shards="dirichlet",alpha=true} {clients=2,shards="dirichlet",alpha="1"}
    {clients=2,shards="dirichlet",alpha=inf} {clients=100_000} {clients=2,client=2}
""")
RECIPES = words("""
    {} {rule="linear",base=4} {rule="lineal"} {rule=1} {rule=["linear"]} {base=4}
    {rule="linear",base=4.5} {rule="linear",base="4"} {rule="linear",warmup_epochs=-1}
    {rule="linear",warmup_epochs=nan} {rule="linear",warmup_epochs=inf} {rules="linear"}
    {rule="linear",warmup_epochs="1"} {rule="linear",warmup_epochs=true}
""")
PATHS = words(r'"nowhere.py:Mine" "nowhere.py" ".py:" "a\u0000.py:B" "../a.py:B"')
WRONG = {
    "workload": [*WORD, *PATHS],
    "optimizer": [*WORD, '"nesterov "', '"Nesterov"', r'"nester\u043ev"'],
    "batch_sizes": [*MOMENTS, *ENORMOUS, *BOTTOMLESS, *STRINGS, *BATCH_SIZES, f"[{'9' * 30}]"],
    "seed": WHOLE,
    "workload_options": [*TABLE, *words('{hidden=[8]} {a=nan} {a=[1,{b=inf}]} {""=1}')],
    "search.sampler": WORD,
    "search.trials": [*WHOLE, "0", "1_000_000_000_000"],
    "search.extend": [*WHOLE, "1_000_000_000_000"],
    "search.warm_start": YES_OR_NO,
    "search.space.lr": [*NUMBER, *RANGES, "0", '{low=0.0,high=1.0,scale="log"}'],
    "search.space.momentum": [*NUMBER, *RANGES, "1.0", "{low=0.0,high=1.0}"],
    "race.to": [*WORD, '"budgets"'],
    "race.target": [*NUMBER, "0.0", "1.0", "0.99"],
    "race.quantity": [*WORD, '"loss"'],
    "race.max_steps": [*WHOLE, "0"],
    "race.max_epochs": [*NUMBER, "0.5"],
    "race.slack": [*NUMBER, "0.99"],
    "race.resolution": [*NUMBER, "0.0", "1.01"],
    "race.cohort": LANES,
    "compute.mode": [*WORD, '"dynamics"', '"pack"'],
    "replicates.seeds": [*WHOLE, "1_000_000_000_000"],
    "replicates.top": [*WHOLE, "0"],
    "replicates.slack": [*NUMBER, "0.5"],
    "schedule.name": [*WORD, '"cosin"'],
    "compute.precision": [*WORD, '"fp8"'],
    "compute.pack": LANES,
    "compute.micro_batch": [*WHOLE, "0", "{lanes=4}"],
    "compute.checkpoint_minutes": NUMBER,
    "compute.cohort_minutes": [*NUMBER, "0"],
    "federated": [*TABLE, *FEDERATED],
    "recipe": [*TABLE, *RECIPES],
    **dict.fromkeys(TABLES, TABLE),
}


@dataclass(frozen=True)
class Case:
    """A malformed file, and words of which the message must have one."""

    text: str | bytes
    names: tuple[str, ...]


def lines(changed: dict[str, str]) -> str:
    """Return the sound file with some keys changed, or added at its end."""
    kept = {
        key: value
        for key, value in SOUND.items()
        if not any(f"{key}.".startswith(f"{other}.") for other in changed)
    }
    return "".join(f"{key} = {value}\n" for key, value in (kept | changed).items())


def wrong_values() -> Iterator[Case]:
    for key, values in WRONG.items():
        for value in values:
            yield Case(lines({key: value}), (key,))


RENAMED = (
    lambda word: word[:-1],
    lambda word: word.upper(),
    lambda word: f"{word}s",
    lambda word: f"{word[0]}_{word[1:]}",
    lambda word: word.replace("a", "\u0430").replace("e", "\u0435").replace("o", "\u043e"),
    lambda word: f"{word}\u200b",
)


def misspelt_keys() -> Iterator[Case]:
    for key, value in SOUND.items():
        table, _, word = key.rpartition(".")
        for rename in RENAMED:
            wrong = rename(word)
            if wrong == word or key == "workload":
                continue
            quoted = ".".join([*(table.split(".") if table else []), f'"{wrong}"'])
            shown = wrong if wrong.isprintable() else repr(wrong)[1:-1]
            yield Case(lines({quoted: value}), (shown,))
    for key in (*SOUND, *TABLES):
        if not any(key.startswith(f"{open}") for open in ("workload_options", "search.space.")):
            yield Case(lines({f"{key}s.more": "1"}), (f"{key}s",))
            yield Case(lines({f'"{key}.more"': "1"}), (f"{key}.more",))


def broken_syntax() -> Iterator[Case]:
    whole = lines({})
    for place, line in enumerate(whole.splitlines()):
        key, _, value = line.partition(" = ")
        others = [other for at, other in enumerate(whole.splitlines()) if at != place]
        for broken in (
            key,
            f"{key} =",
            f"= {value}",
            f"{key} = = {value}",
            f"{key} {value}",
            f"{key} = {value} {value}",
            f"{line}\n{line}",
            f"{key}. = {value}",
            f".{key} = {value}",
            f"{key} = {value}\0",
            f"{key} = \N{LEFT DOUBLE QUOTATION MARK}a\N{RIGHT DOUBLE QUOTATION MARK}",
            f"{key} = '",
            f"{key} = [",
            f"{key} = {{ a = 1",
            f"{key} = 1979-13-45",
            f"{key} = 01",
            f"{key} = 1e",
            f"{key} = {'9' * 5000}",
            f"{key} = {'[' * 5000}{']' * 5000}",
            f"[{key}]\n[{key}]",
        ):
            yield Case("\n".join([*others, broken]), ("valid TOML",))


def broken_bytes() -> Iterator[Case]:
    whole = lines({}).encode()
    for place in range(0, len(whole), 7):
        for wrong in (b"\xff", b"\xed\xa0\x80", b"\x80"):
            yield Case(whole[:place] + wrong + whole[place:], ("UTF-8",))
        yield Case(whole[:place] + b"\x00" + whole[place:], ("valid TOML",))
    for encoding in ("utf-16", "utf-32"):
        yield Case(lines({}).encode(encoding), ("UTF-8", "valid TOML"))


GRIDS = {
    "grid": '1 true "seed" [] {} [1] [[]] [{}] nan 1979-05-27',
    "grid.seed": '1 [] "0" {} true nan [-1] ["a"] [0,nan] [[0]] [0,0]',
    "grid.optimizer": '["sgd","sdg"] ["sgd",1] ["sgd","SGD"] [""] [{}]',
    "grid.sead": "[0] [0,1]",
    'grid."search.trials"': '[1,0] [1,2.5] ["1"] [1,1] [1e3]',
    'grid."search..trials"': "[1]",
    'grid."".trials': "[1]",
    "grid.search": "[1] [{trials=0}] [{trial=1}]",
    'grid."search.space.lr"': '[0.1,0.0] [0.1,{low=1.0}] ["a"] [[0.1]]',
    "grid.grid": "[1] [{seed=[1]}]",
    "grid.name": '["a","b"]',
    "grid.workload": r'["digits-mlp","digits-mpl"] ["nowhere.py:A"] [1] ["a\u0000.py:B"]',
}
LONG_NAME = f'{{name="{"n" * 101}",optimizer="sgd"}}'
TABLED = words(r"""
    {name=1} {name=""} {name="../up",optimizer="sgd"} {name="a/b",optimizer="sgd"}
    {name="nul",optimizer="sgd"} {name="a\nb",optimizer="sgd"} {name="a\u0000",optimizer="sgd"}
    {name="a"},{name="A"} {optimizer="sgd"},{optimizer="sgd"} {optimizer="sgd"},{optimizer=1}
    {optimizer="sgd"},1 {search.trials=1,"search.trials"=2} {search=1,"search.trials"=2}
""")


def malformed_grids() -> Iterator[Case]:
    freed = "".join(
        f"{key} = {value}\n"
        for key, value in SOUND.items()
        if key in {"workload", "race.max_steps", "replicates.seeds"}
    )
    for key, values in GRIDS.items():
        for value in values.split():
            names = ("grid", key.removeprefix("grid.").strip('"'))
            yield Case(f"{freed}{key} = {value}\n", names)
    for tables in [*TABLED, LONG_NAME]:
        yield Case(f"{freed}grid = [{tables}]\n", ("grid", "optimizer", "name"))
    yield Case(
        lines({"grid": "{ seed = [0, 1] }"}), ("seed must be set in the grid or outside it",)
    )
    ten = ", ".join(f'"search.space.a{n}" = [1, 2, 3, 4, 5, 6, 7, 8, 9]' for n in range(12))
    yield Case(f"{freed}grid = {{ {ten} }}\n", ("grid",))


GROUPS = {
    "wrong values": wrong_values,
    "misspelt keys": misspelt_keys,
    "broken syntax": broken_syntax,
    "broken bytes": broken_bytes,
    "grids": malformed_grids,
}


EVERY = {"wrong values": 2, "misspelt keys": 1, "broken syntax": 3, "broken bytes": 3, "grids": 1}
"""Every how many cases of a group `make test` tries; `make test-all` tries all."""


class AcceptedError(Exception):
    """A malformed file came as far as a sweep."""


@pytest.fixture
def judged(monkeypatch, capsys, tmp_path):
    """Return what is wrong with how a study file is refused; None where it is as it must be."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("BATCHSCALE_DATA", "")
    monkeypatch.setattr(sys, "argv", ["batchscale", "sweep", "study.toml"])

    def accept(*_):
        raise AcceptedError

    monkeypatch.setattr("study.commands.running._sweep_one", accept)
    monkeypatch.setattr(cli, "app", get_command(cli.app))  # what it makes of itself at each call
    file = Path("study.toml")

    def judge(case):
        file.write_bytes(case.text if isinstance(case.text, bytes) else case.text.encode())
        try:
            cli.main()
        except SystemExit as end:
            code = end.code
        except Exception as error:  # noqa: BLE001 - whatever comes is told
            capsys.readouterr()
            shutil.rmtree("results", ignore_errors=True)  # a file that is taken locks its folder
            return f"{type(error).__name__}: {error}"
        out, err = capsys.readouterr()
        faults = {
            f"exit code {code}": code != 2,
            f"no error first: {err}": not err.startswith("error: "),
            f"none of {case.names}: {err}": not any(name in err for name in case.names),
            f"many lines: {err}": len(err.splitlines()) > 5,
            f"long: {err[:300]}": len(err) > 2000,
            f"no words for people: {err}": any(word in err for word in PRIVATE),
            f"what cannot be seen: {err}": not err.replace("\n", "").isprintable(),
            f"output: {out}": bool(out),
            "something written": list(Path().rglob("*")) != [file],
        }
        return next((fault for fault, there in faults.items() if there), None)

    return judge


def refused(judged, cases):
    failed = [(case.text, fault) for case in cases if (fault := judged(case))]
    sound = set(lines({}).splitlines())
    told = [
        f"{[line[:100] for line in str(text).splitlines() if line not in sound]}: {fault}"
        for text, fault in failed
    ]
    assert not failed, "\n".join(told)
    ray = sys.modules.get("ray")
    assert ray is None or not ray.is_initialized()


def test_the_sound_file_is_accepted(judged):
    assert judged(Case(lines({}), ())).startswith("AcceptedError")


def test_there_are_enough_cases():
    counts = {group: len(list(cases())) for group, cases in GROUPS.items()}
    assert sum(count // EVERY[group] for group, count in counts.items()) >= 1000
    assert sum(counts.values()) >= 2000


@pytest.mark.parametrize("group", GROUPS)
def test_a_malformed_study_file_is_refused_in_words(judged, group, refused):
    refused(judged, list(GROUPS[group]())[:: EVERY[group]])


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.parametrize("group", GROUPS)
def test_every_malformed_study_file_is_refused_in_words(judged, group, refused):
    refused(judged, GROUPS[group]())


@pytest.mark.slow
@pytest.mark.long
@given(data=st.data())
@tried(max_examples=2000)
def test_a_file_with_any_bytes_changed_is_accepted_or_refused_in_words(judged, data):
    text = bytearray(lines({}).encode())
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(text)))
        end = start + data.draw(st.integers(0, 6))
        text[start:end] = data.draw(st.binary(max_size=3) | st.sampled_from(SNIPPETS))
    fault = judged(Case(bytes(text), ("",)))
    assert fault is None or fault.startswith("AcceptedError")
