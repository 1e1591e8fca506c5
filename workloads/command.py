"""A program as a workload: any command that trains and reports measurements as JSON lines."""

import hashlib
import os
import shlex
import shutil
import string
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from workloads.errors import WorkloadError
from workloads.workload import Target

PROGRAM = "program"
"""Mode, and optimizer, that a study records for trials of a program."""
GIVEN: Mapping[str, str] = {
    "batch_size": "examples per step",
    "micro_batch": "examples to process at once; the batch size unless the study says less",
    "seed": "the trial's seed modulo 2^31, which every library takes",
    "max_steps": "the step budget",
    "max_examples": "the step budget times the batch size",
    "checkpoint": "folder for the program's checkpoints, as in $BATCHSCALE_CHECKPOINT",
    "python": "the Python interpreter that runs batchscale",
}
"""Placeholders that batchscale fills in besides the hyperparameters, and their values."""

_Minutes = Annotated[float, Field(gt=0, strict=True)]
_Key = Annotated[str, Field(min_length=1)]
_RULES = {"run": "a string or a list of words", "environment": "a table of strings"}


class Options(BaseModel):
    """The `workload_options` of a program, `workload = "command"`."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True
    )

    run: Annotated[str, Field(min_length=1)] | Annotated[tuple[str, ...], Field(min_length=1)]
    """The command line, as a list of words or as text, with placeholders such as {lr}."""
    target: Annotated[float, Field(gt=0, strict=True)]
    """Validation error (or loss) to get below."""
    quantity: Literal["error", "loss"] = "error"
    """Whether the target is on an error (a fraction) or on a loss."""
    folder: str = "."
    """Folder in which the program runs, relative to the study file."""
    shell: Annotated[bool, Field(strict=True)] = False
    """Whether a shell runs the command line, for pipes and variables."""
    environment: dict[str, str] = Field(default_factory=dict)
    """Environment variables that the program gets in addition; placeholders are filled in."""
    cpus: Annotated[int, Field(ge=1, strict=True)] = 1
    """CPU cores of a trial."""
    gpus: Annotated[float, Field(ge=0, strict=True)] = 0.0
    """GPUs of a trial: a number, or a fraction of one."""
    hyperparameters: tuple[str, ...] = ()
    """Hyperparameters that the program takes from `batchscale.trial()`, not its command line."""
    step: _Key = "step"
    """Key of the number of optimizer steps in a line of measurements."""
    measured: _Key | None = None
    """Key of the measurement that the target is on; by default val_error, or val_loss."""
    loss: _Key = "val_loss"
    """Key of the validation loss, which a line may omit."""
    train_loss: _Key = "train_loss"
    """Key of the mean training loss since the last measurement, which a line may omit."""
    quantities: tuple[_Key, ...] = ()
    """Keys of further measured quantities, which become columns of the curves; `test_error` is the
    error on a test split, in the lines that give it."""
    examples: Annotated[int, Field(ge=1, strict=True)] | None = None
    """Number of training examples, for budgets in epochs."""
    tokens_per_example: Annotated[int, Field(ge=1, strict=True)] | None = None
    """Tokens in each example, for study files that count in tokens; programs are given examples."""
    trial_minutes: _Minutes | None = None
    """Time limit of a trial; one that takes longer has failed."""
    silent_minutes: _Minutes | None = None
    """Longest time between two reports; a trial that is silent for longer has failed."""
    grace_seconds: Annotated[float, Field(ge=0, strict=True)] = 10.0
    """Seconds from SIGTERM until a program that is still running is killed."""


class Command:
    """A program that is started once for each trial.

    Attributes:
        options: its `workload_options`.
        target: the target that its trials race to.
        study_defaults: defaults of the study that are different for programs.
    """

    study_defaults: Mapping[str, Any] = {
        "optimizer": PROGRAM,
        "race": {"cohort": 8},
        "compute": {"pack": 1},
    }

    def __init__(self, options: Options) -> None:
        """Store the options, and refuse those that contradict each other."""
        self.options = options
        if options.gpus > 1 and not options.gpus.is_integer():
            raise WorkloadError(
                f"workload_options.gpus must be a whole number or a fraction of one GPU, got "
                f"{options.gpus:g}"
            )
        if options.shell and not isinstance(options.run, str):
            raise WorkloadError(
                "workload_options.run must be a string if shell = true, got a list; join it"
            )
        _refuse_names(options)
        self.target = Target(options.target, options.quantity)
        self._words = _words(options)
        self.placeholders = frozenset(
            name
            for text in (*self._words, *options.environment.values())
            for name in placeholders(text)
        )

    @property
    def hyperparameters(self) -> frozenset[str]:
        """Names of the hyperparameters that the program takes."""
        return self.placeholders - GIVEN.keys() | set(self.options.hyperparameters)

    @property
    def tokens_per_example(self) -> int | None:
        """Tokens in each example; None if the study does not say."""
        return self.options.tokens_per_example

    @property
    def measured(self) -> str:
        """Key of the measurement that the target is on."""
        return self.options.measured or f"val_{self.options.quantity}"

    @property
    def folder(self) -> Path:
        """The folder in which the program runs."""
        return Path(self.options.folder).absolute()

    def words(self, values: Mapping[str, str]) -> list[str]:
        """Return the command line with its placeholders filled in."""
        if self.options.shell:
            values = {name: shlex.quote(value) for name, value in values.items()}
        return [filled(word, values) for word in self._words]

    def environment(self, values: Mapping[str, str]) -> dict[str, str]:
        """Return the program's own environment variables with their placeholders filled in."""
        return {n: filled(text, values) for n, text in self.options.environment.items()}

    def refuse_missing(self) -> None:
        """Refuse a folder or a program that this machine lacks."""
        if not self.folder.is_dir():
            raise WorkloadError(f"workload_options.folder must be a folder, got {self.folder}")
        first = self._words[0]
        path = self.options.environment.get("PATH", os.environ.get("PATH"))
        program = str(self.folder / first) if "/" in first else first
        if not placeholders(first) and shutil.which(program, path=path) is None:
            raise WorkloadError(
                f"workload_options.run must begin with a program on this machine, got {first!r}; "
                "check its name and PATH, or begin with {python} for the Python that runs "
                "batchscale"
            )

    def record(self) -> dict[str, Any]:
        """Return what a sweep records about the program: its command line and digests of files."""
        return {"command": self._words, "files": dict(self._digests())}

    def _digests(self) -> Iterator[tuple[str, str]]:
        words = shlex.split(self._words[-1]) if self.options.shell else self._words
        for word in words:
            path = self.folder / word
            if path.is_file() and path.stat().st_size < 2**26:
                yield word, hashlib.sha256(path.read_bytes()).hexdigest()


def made(**options: Any) -> Command:
    """Return a program from its `workload_options`; the error has a line for each wrong option."""
    try:
        return Command(Options(**options))
    except ValidationError as error:
        lines = dict.fromkeys(map(_sentence, error.errors()))
        raise WorkloadError("\n".join(lines)) from error


def _refuse_names(options: Options) -> None:
    """Refuse names of hyperparameters, measurements and variables that are already taken."""
    given = sorted(GIVEN.keys() & set(options.hyperparameters))
    if given:
        raise WorkloadError(
            "workload_options.hyperparameters must not name what batchscale gives, got "
            f"{given[0]!r}; leave it out"
        )
    measured = options.measured or f"val_{options.quantity}"
    if options.step in {measured, options.loss, options.train_loss, *options.quantities}:
        raise WorkloadError(
            f"workload_options.step must be a separate key, got {options.step!r}, which is also "
            "the key of a measurement; choose another"
        )
    for name in options.environment:
        if not name or set(name) & set("=\0") or name.startswith("BATCHSCALE_"):
            raise WorkloadError(
                "workload_options.environment must have names without = that do not begin with "
                f"BATCHSCALE_, got {name!r}; rename it"
            )


def _words(options: Options) -> list[str]:
    run = options.run
    if options.shell:
        return ["sh", "-c", str(run)]
    try:
        words = shlex.split(run) if isinstance(run, str) else list(run)
    except ValueError as error:
        raise WorkloadError(
            f"workload_options.run must split into words, got {run!r}: {error}; give a list"
        ) from error
    if not words or not words[0]:
        raise WorkloadError(f"workload_options.run must begin with a program, got {run!r}")
    return words


def _sentence(error: Any) -> str:
    key = str(error["loc"][0]) if error["loc"] else ""
    where = f"workload_options.{key}"
    if error["type"] == "missing":
        return f"{where} is required for a program, got none"
    if error["type"] == "extra_forbidden":
        known = ", ".join(Options.model_fields)
        return f"{where} is no option of a program; these are {known}"
    rule = error["msg"].removeprefix("Input should be ").replace("a valid integer", "an integer")
    rule = rule.replace("a valid ", "a ")
    return f"{where} must be {_RULES.get(key, rule)}, got {error['input']!r}"


def placeholders(text: str) -> set[str]:
    """Return the names in braces in a text; refuse anything else in braces."""
    try:
        parts = list(string.Formatter().parse(text))
    except ValueError as error:
        raise WorkloadError(
            f"a command line must have placeholders such as {{lr}}, got {text!r}: {error}; write "
            "{{ and }} for braces themselves"
        ) from error
    for _, name, form, conversion in parts:
        if name is not None and (not name.isidentifier() or form or conversion):
            raise WorkloadError(
                f"a placeholder must be a plain name in braces, such as {{lr}}, got {text!r}; "
                "write {{ and }} for braces themselves"
            )
    return {name for _, name, _, _ in parts if name is not None}


def filled(text: str, values: Mapping[str, str]) -> str:
    """Return a text with its placeholders replaced by values."""
    return string.Formatter().vformat(text, (), values)
