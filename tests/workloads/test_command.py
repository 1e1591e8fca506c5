import hashlib
import sys

import pytest

from workloads.errors import WorkloadError
from workloads.registry import files_refused, resolve


def program(**options):
    return resolve("command", {"run": "train --lr {lr}", "target": 0.1} | options)


def test_other_placeholders_are_hyperparameters():
    given = "train {lr} {batch_size} {micro_batch} {seed} {max_steps} {max_examples} {checkpoint}"
    found = program(run=given, environment={"DECAY": "{decay}"}, hyperparameters=["width"])
    assert found.hyperparameters == {"lr", "decay", "width"}


def test_words_are_split_before_they_are_filled():
    found = program(run="train '--name=a b' --lr={lr} {{literal}}")
    assert found.words({"lr": "1 2"}) == ["train", "--name=a b", "--lr=1 2", "{literal}"]


def test_a_shell_gets_quoted_values():
    found = program(run="train --lr {lr} | tee out", shell=True)
    assert found.words({"lr": "1; rm x"}) == ["sh", "-c", "train --lr '1; rm x' | tee out"]


def test_the_target_is_on_the_key_of_its_quantity():
    assert program().measured == "val_error"
    assert program(quantity="loss", target=2.0).measured == "val_loss"
    assert program(measured="wer").measured == "wer"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"run": []}, "workload_options.run must be a string or a list of words, got"),
        ({"run": ""}, "workload_options.run must be a string or a list of words, got ''"),
        ({"run": "  "}, "workload_options.run must begin with a program"),
        ({"run": "train 'lr"}, "must split into words, got .*No closing quotation; give a list"),
        ({"run": "train {lr:d}"}, "a placeholder must be a plain name in braces"),
        ({"run": "train {}"}, "a placeholder must be a plain name in braces"),
        ({"run": "train {a.b}"}, "a placeholder must be a plain name in braces"),
        ({"run": "train {lr"}, "write {{ and }} for braces themselves"),
        (
            {"environment": {"A": 3}},
            "workload_options.environment must be a table of strings, got 3",
        ),
        ({"environment": {"A": "{!}"}}, "placeholder"),
        ({"environment": {"A=B": "x"}}, "environment must have names without = .* got 'A=B'"),
        ({"environment": {"BATCHSCALE_LOG": "x"}}, "do not begin with BATCHSCALE_, got"),
        ({"hyperparameters": ["seed"]}, "must not name what batchscale gives, got 'seed'"),
        ({"step": "val_error"}, "workload_options.step must be a separate key, got 'val_error'"),
        ({"gpus": 1.5}, "workload_options.gpus must be a whole number or a fraction"),
        ({"gpus": -1}, "workload_options.gpus must be"),
        ({"cpus": 0}, "workload_options.cpus must be greater than or equal to 1, got 0"),
        ({"target": "low"}, "workload_options.target must be a number, got 'low'"),
        ({"shell": True, "run": ["a"]}, "must be a string if shell = true"),
        ({"script": "x"}, "workload_options.script is no option of a program; these are run, tar"),
        ({"grace_seconds": float("nan")}, "workload_options.grace_seconds must be"),
    ],
)
def test_a_wrong_option_is_refused(options, message):
    with pytest.raises(WorkloadError, match=message):
        program(**options)


def test_missing_options_are_named():
    with pytest.raises(WorkloadError, match=r"options\.run is required .*\n.*target is required"):
        resolve("command")


def test_a_missing_program_or_folder_is_refused(tmp_path):
    with pytest.raises(WorkloadError, match="must begin with a program on this machine, got 'no-"):
        program(run="no-such-program", folder=str(tmp_path)).refuse_missing()
    with pytest.raises(WorkloadError, match=r"workload_options\.folder must be a folder"):
        program(folder=str(tmp_path / "none")).refuse_missing()
    own = tmp_path / "train"
    own.write_text("#!/bin/sh\n")
    own.chmod(0o755)
    program(run="./train {lr}", folder=str(tmp_path)).refuse_missing()
    program(run=f"{sys.executable} train", folder=str(tmp_path)).refuse_missing()
    program(run="{python} train", folder=str(tmp_path)).refuse_missing()


def test_the_record_has_the_command_line_and_the_digests_of_its_files(tmp_path):
    (tmp_path / "train.py").write_text("print()")
    record = program(run="{python} train.py {lr}", folder=str(tmp_path)).record()
    assert record["command"] == ["{python}", "train.py", "{lr}"]
    assert record["files"] == {"train.py": hashlib.sha256(b"print()").hexdigest()}


def test_a_program_from_a_strangers_results_is_refused():
    with (
        files_refused(),
        pytest.raises(WorkloadError, match=r"got workload_options\.run = 'x'.*give --run-code"),
    ):
        program(run="x")
