import math
import os
import re
import time

import pytest

from study.engine.checkpoints import SavedError
from study.engine.programs import trial
from study.engine.race import Race
from study.engine.stopping_rules import StoppingRules
from study.errors import StudyError
from study.storage import trial_rows
from study.storage.curve_columns import curve_table

FALLS = """
every = 10
for step in range(0, steps + 1, every):
    say(step, max(0.0, 0.9 - 0.01 * step * lr))
"""


def outcome(result):
    found = result.outcome
    return found.status, found.steps, found.steps_before, found.stopped_at


def test_steps_and_bracket_are_as_the_program_measured_them(programs):
    result = programs.one("for step in (0, 7, 19, 40, 55): say(step, 0.9 - step / 50)\nwait()")
    assert outcome(result) == ("reached", 40, 19, 40)
    assert result.curve.step.tolist() == [0, 7, 19, 40]
    assert result.execution.mode == "program"
    assert (result.curve.seconds >= 0).all()


def test_programs_report_their_progress_while_they_run(programs, monkeypatch):
    told = []
    monkeypatch.setattr(Race, "after_lap", lambda p: told.append((p.step, p.share, p.least_loss)))
    programs.race |= {"slack": 2.0}
    body = "say(0, 0.9, val_loss=3.0)\nsay(10, 0.6, val_loss=2.0)\ntime.sleep(0.3)\nsay(30, 0.2)"
    programs.run(body, (1.0, 2.0))
    half = math.log(0.6 / 0.9) / math.log(0.3 / 0.9) / 2  # the cap is twice the steps to target
    assert (10, pytest.approx(half / 2), 2.0) in told
    assert told[-1][:2] == (60, 1.0)
    assert all(0 <= share <= 1 for _, share, _ in told)


def test_a_target_met_by_the_first_measurement_has_a_bracket_from_the_start(programs):
    result = programs.one("say(25, 0.2)\nwait()")
    assert outcome(result) == ("reached", 25, 0, 25)
    assert result.outcome.best_error == 0.2


def test_losses_are_kept_where_the_program_reports_them(programs):
    result = programs.one("say(0, 0.9)\nsay(10, 0.2, val_loss=1.5, train_loss=2)\nwait()")
    assert result.curve.val_loss.tolist()[1:] == [1.5]
    assert result.curve.train_loss.tolist()[1:] == [2.0]
    assert result.curve.val_loss[0] != result.curve.val_loss[0]  # NaN: not reported
    assert curve_table([result])["val_loss"].to_pylist() == [None, 1.5]


@pytest.mark.parametrize("at_once", [1, 3])
@pytest.mark.parametrize("lrs", [(1.0, 4.0, 2.0, 0.1), (0.1, 2.0, 4.0, 1.0)])
def test_results_do_not_depend_on_which_trial_runs_first(programs, lrs, at_once):
    programs.at_once = at_once
    found = programs.run(FALLS, lrs)
    assert {lr: outcome(result) for lr, result in found.items()} == {
        4.0: ("reached", 20, 10, 20),
        2.0: ("capped", None, None, 30),
        1.0: ("capped", None, None, 30),
        0.1: ("capped", None, None, 30),
    }
    assert {result.execution.pack for result in found.values()} == {at_once}


@pytest.mark.parametrize("lrs", [(4.0, 1.0), (1.0, 4.0)])
def test_a_program_that_breaks_down_past_the_cap_is_capped(programs, lrs):
    found = programs.run(FALLS + "    if step == 60: sys.exit('broke down')\n", lrs)
    assert outcome(found[1.0]) == ("capped", None, None, 30)
    assert found[1.0].message == ""


def test_trials_that_spend_their_budget_have_no_cap(programs):
    programs.race = {"max_steps": 100, "to": "budget"}
    found = programs.run(FALLS, (4.0, 1.0))
    assert outcome(found[4.0]) == ("reached", 20, 10, 100)
    assert outcome(found[1.0]) == ("reached", 70, 60, 100)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("for step in (0, 30, 60, 90): say(step, 0.5)", ("exhausted", None, None, 90)),
        ("for step in (0, 50, 100, 150): say(step, 0.5)\nwait()", ("exhausted", None, None, 100)),
        ("for step in (0, 60, 120): say(step, 0.5 - step / 300)\nwait()", ("exhausted",)),
        ("say(0, 0.5)\nsay(10, float('nan'))\nwait()", ("diverged", None, None, 10)),
        ("say(0, 0.5)\nsay(10, 0.4, val_loss=float('inf'))\nwait()", ("diverged", None, None, 10)),
        ("say(10, float('nan'))\nwait()", ("diverged", None, None, 10)),
        ("say(0, 0.5)\nfor step in (10, 20): say(step, None)", ("diverged", None, None, 10)),
        ("say(0, 0.5)\nsay(10, None)\nsay(99, 0.5)\nsay(100, None)", ("exhausted",)),
        ("say(0, 0.5, val_loss=1.0)\nsay(100, 0.6, val_loss=9.0)\nwait()", ("diverged",)),
        ("say(10, 0.5, val_loss=1.0)\nsay(100, 0.6, val_loss=9.0)\nwait()", ("exhausted",)),
    ],
)
def test_how_a_trial_above_the_target_ends(programs, body, expected):
    assert outcome(programs.one(body))[: len(expected)] == expected


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (
            "print('working')",
            "must report measurements.*got none; print each .*; it printed last: working",
        ),
        ("print({'step': 1, 'val_error': 0.5})", "in double quotes, .*; it printed last: {'step'"),
        ('print(\'{"step": 1, "error": 0.5}\')', "got JSON with the keys error, step"),
        (
            'print(\'{"step": 1, "val_error": null}\')',
            "got keys that are null or on separate lines",
        ),
        (
            "import shutil; shutil.rmtree(os.path.dirname(os.environ['BATCHSCALE_CHECKPOINT']))\n"
            "say(10, 0.5)",
            "a program must not remove the folder of its trial, got .* No such file",
        ),
        ("say(10, 0.5); say(5, 0.4)", "step must rise .* got 5 after 10"),
        ("say(10, 0.5); say(10, 0.5)", "got 10 after 10; of several processes, let one report"),
        ("say(-1, 0.5)", "step must be a whole number of at least 0, got -1"),
        ("say(1.5, 0.5)", "step must be a whole number of at least 0, got 1.5"),
        ("say('7', 0.5)", "step must be a number, got '7'"),
        ("say(True, 0.5)", "step must be a number, got True"),
        ("say(1, '0.5')", "val_error must be a number, got '0.5'"),
        ("say(1, 55.0)", "val_error must be a fraction from 0 to 1, got 55; divide it"),
        ("say(200, 0.5)", "measured within its budget of 100 steps, .* at step 200"),
        ("say(0, 0.5); say(40, 0.4)", "must train for {max_steps} = 100 .* end after step 40"),
        ("say(0, 0.5); 1 / 0", "exit code 1 after step 0; it printed last: ZeroDivisionError"),
        (
            "os.kill(os.getpid(), 9)",
            r"signal 9 .SIGKILL .*fewer --workers. before any measurement, .* at each of 3 starts",
        ),
        ("say(0, 0.5); os.kill(os.getpid(), 11)", "with signal 11 after step 0"),
        (
            "for text in ('{}\\n' * 9, '{}'):\n"
            "    open(os.environ['BATCHSCALE_LOG'], 'w').write(text); time.sleep(0.5)\nwait()",
            "must append to .BATCHSCALE_LOG, got a file that became shorter after step -1",
        ),
        ("open(os.environ['BATCHSCALE_LOG'], 'a').write('oops')", "must be a JSON object.*'oops'"),
    ],
)
def test_a_program_that_does_not_keep_the_rules_has_failed_and_says_why(programs, body, message):
    result = programs.one(body)
    assert result.outcome.status == "failed"
    assert result.execution is None
    assert result.curve.step.size == 0
    assert re.search(message, result.message), result.message


def test_a_program_that_is_killed_with_its_sweep_has_not_failed(programs, monkeypatch):
    monkeypatch.setattr(trial, "SETTLE_SECONDS", 60.0)
    died = programs.folder / "died"
    programs.stopping = died.exists
    with pytest.raises(SavedError):
        programs.one("say(0, 0.9)\nopen('died', 'w')\nos.kill(os.getpid(), 15)", kept=True)
    programs.stopping = lambda: False
    assert outcome(programs.one("say(0, 0.9)\nsay(10, 0.1)", kept=True))[0] == "reached"


@pytest.mark.parametrize("end", ["os.kill(os.getpid(), 9)", "sys.exit(143)"])
def test_a_program_that_is_killed_from_outside_starts_again_and_the_sweep_says_so(programs, end):
    body = f"""
    say(0, 0.9)
    open(os.environ["BATCHSCALE_CHECKPOINT"] + "/state", "w")
    if os.environ["BATCHSCALE_RESUME"] == "0":
        {end}
    say(10, 0.1)
    """
    assert outcome(programs.one(body, kept=True)) == ("reached", 10, 0, 10)
    (note,) = programs.notes
    assert re.match(r"trial 0 of batch size 8 was started again: .* from outside.* step 0$", note)


def test_one_failed_program_harms_no_other(programs):
    found = programs.run(FALLS + "    if lr == 1.0: sys.exit(3)\n", (1.0, 4.0))
    assert [result.outcome.status for result in found.values()] == ["failed", "reached"]


@pytest.mark.parametrize("option", ["trial_minutes", "silent_minutes"])
def test_a_program_that_takes_too_long_has_failed(programs, option):
    programs.options = {option: 0.005}
    result = programs.one("say(0, 0.5)\nwait()")
    assert result.outcome.status == "failed"
    assert f"workload_options.{option} = 0.005, got step 0 as its last" in result.message


def test_a_loss_may_be_any_number_and_keys_have_any_name(programs):
    programs.options = {"quantity": "loss", "target": 2.5, "step": "iteration", "measured": "nll"}
    body = """
    for i in (0, 50):
        print(json.dumps({"iteration": i, "nll": 9 - i / 7}), flush=True)
    wait()
    """
    assert outcome(programs.one(body)) == ("reached", 50, 0, 50)


def test_measurements_may_go_to_the_log_and_lines_may_lack_their_end(programs):
    body = """
    with open(os.environ["BATCHSCALE_LOG"], "a") as log:
        log.write('{"step": 0, "val_error": 0.9}\\n\\n{"step": 40, "val_err')
        log.flush()
        time.sleep(0.2)
        log.write('or": 0.1}')
    """
    assert outcome(programs.one(body)) == ("reached", 40, 0, 40)


def test_output_is_kept_but_not_all_of_it(programs):
    body = """
    print("the beginning")
    print("x" * 300_000)
    sys.stderr.write("50%|##|\\r60%|##|\\r")
    say(0, 0.9)
    print("\\r99%|###|\\r" + json.dumps({"step": 10, "val_error": 0.2}))
    """
    assert outcome(programs.one(body, kept=True)) == ("reached", 10, 0, 10)
    printed = (programs.folder / "results/output/b00008-search-000.log").read_text()
    assert printed.startswith("the beginning\nxxx")
    assert "bytes left out" in printed
    assert len(printed) < 2**16


STUBBORN = """
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)"
subprocess.Popen([sys.executable, "-IS", "-c", child], start_new_session=True)
say(0, 0.9)
say(10, 0.1)
wait()
"""


def test_a_program_that_will_not_end_is_killed_with_all_that_it_started(programs, alive):
    marker = f"TEST_MARK={programs.folder}"
    programs.options = {
        "environment": {"TEST_MARK": str(programs.folder)},
        "grace_seconds": 0.1,
    }
    assert outcome(programs.one(STUBBORN)) == ("reached", 10, 0, 10)
    assert alive(marker) == []


def test_a_program_has_time_to_end_itself(programs):
    body = """
    def end(*_):
        open("ended", "w").write("in order")
        sys.exit(0)
    signal.signal(signal.SIGTERM, end)
    say(0, 0.9)
    say(10, 0.1)
    wait()
    """
    assert outcome(programs.one(body)) == ("reached", 10, 0, 10)
    assert (programs.folder / "ended").read_text() == "in order"


RESUMES = """
path = os.path.join(os.environ["BATCHSCALE_CHECKPOINT"], "step")
resumed = os.environ["BATCHSCALE_RESUME"] == "1"
step = int(open(path).read()) if resumed else 0
for step in range(step, steps + 1, 10):
    say(step, max(0.0, 0.9 - 0.01 * step * lr))
    if step == 20 and not resumed:
        wait()
    open(path, "w").write(str(step))
"""


def test_a_trial_that_was_stopped_resumes_from_its_checkpoint(programs):
    begun = time.monotonic()
    step = programs.folder / "results/checkpoints/b00008-c000"
    programs.stopping = lambda: (
        time.monotonic() > begun + 20
        or any("20," in curve.read_text() for curve in step.glob("*/curve.jsonl"))
    )
    with pytest.raises(SavedError):
        programs.one(RESUMES, kept=True)
    programs.stopping = lambda: False
    result = programs.one(RESUMES, kept=True)
    assert outcome(result) == ("reached", 70, 60, 70)
    assert result.curve.step.tolist() == [0, 10, 20, 30, 40, 50, 60, 70]
    assert result.curve.seconds.tolist() == sorted(result.curve.seconds.tolist())


def test_what_a_program_reports_after_its_worker_has_died_is_not_lost(programs):
    begun = time.monotonic()
    folder = programs.folder / "results/checkpoints/b00008-c000"
    programs.stopping = lambda: (
        time.monotonic() > begun + 20
        or any("20," in curve.read_text() for curve in folder.glob("*/curve.jsonl"))
    )
    with pytest.raises(SavedError):
        programs.one(RESUMES, kept=True)
    (trial,) = folder.iterdir()  # as if the program had gone on for a while
    with (trial / "output").open("a") as output:
        output.writelines(f'{{"step": {s}, "val_error": {0.9 - s / 100}}}\n' for s in (30, 40, 50))
        output.write('{"step": 60, "val_er')
    (trial / "checkpoint/step").write_text("60")
    programs.stopping = lambda: False
    result = programs.one(RESUMES, kept=True)
    assert outcome(result) == ("reached", 70, 60, 70)
    assert result.curve.step.tolist() == [0, 10, 20, 30, 40, 50, 60, 70]


def test_an_incomplete_line_does_not_damage_the_next_measurement(programs):
    _, command = programs.resolved("")
    (programs.folder / "curve.jsonl").write_text("[0, NaN, NaN, 0.9, 0.0]\n[10, NaN")
    for reported in ('{"step": 20, "val_error": 0.5}\n', ""):
        (programs.folder / "output").write_text(reported)
        rules = StoppingRules(target=0.3, max_steps=100, slack=1.5, resolution=0.03)
        run = trial.ProgramTrial(command, programs.folder, rules).run()
        assert run.curve.step.tolist() == [0, 20]


def test_a_trial_without_a_checkpoint_starts_again_after_a_stop(programs):
    body = RESUMES.replace('open(path, "w")', "open(os.devnull, 'w')").replace("wait()", "pass")
    stuck = body.replace("pass", "wait()")
    begun = time.monotonic()
    programs.stopping = lambda: time.monotonic() > begun + 0.3
    with pytest.raises(SavedError):
        programs.one(stuck, kept=True)
    programs.stopping = lambda: False
    assert outcome(programs.one(body, kept=True)) == ("reached", 70, 60, 70)


def test_trials_that_ended_before_a_stop_do_not_run_again(programs):
    body = "open(f'ran-{lr}', 'a').write('x')\nif lr == 0.5: wait()\n" + FALLS
    ran = programs.folder / "ran-0.5"
    programs.race = {"max_steps": 100, "to": "budget"}
    programs.stopping = ran.exists
    with pytest.raises(SavedError):
        programs.run(body, (1.0, 0.5), kept=True)
    programs.stopping = lambda: False
    found = programs.run(body.replace("wait()", "pass"), (1.0, 0.5), kept=True)
    assert [outcome(result)[:2] for result in found.values()] == [
        ("reached", 70),
        ("exhausted", None),
    ]
    assert (programs.folder / "ran-1.0").read_text() == "x"


def test_what_the_trials_saved_is_removed_with_the_checkpoint(programs):
    programs.one(FALLS, kept=True)
    resolved, _ = programs.resolved(FALLS)
    from analysis.tables.folder import ResultsFolder
    from study.engine.checkpoints import Checkpoint
    from study.records import Cohort, Point

    cohort = Cohort(batch_size=8, points=(Point(trial=0, seed=0, values={"lr": 1.0}),))
    place = ResultsFolder.at(programs.folder / "results")
    checkpoint = Checkpoint(place, "b00008-c000", resolved, cohort, "cpu")
    assert checkpoint.place.is_dir()
    checkpoint.remove()
    assert not checkpoint.place.exists()


def test_a_program_gets_its_trial_in_its_environment(programs):
    programs.options = {"environment": {"MINE": "{lr}-{batch_size}"}, "cpus": 3}
    body = """
    told = json.loads(os.environ["BATCHSCALE_TRIAL"])
    print(os.environ["MINE"], os.environ["OMP_NUM_THREADS"], os.environ["CUDA_VISIBLE_DEVICES"])
    assert told["hyperparameters"] == {"lr": lr}, told
    assert os.path.isdir(told["checkpoint"])
    assert told["batch_size"] == told["micro_batch"] == 8
    assert (told["max_steps"], told["max_examples"], told["seed"]) == (100, 800, 0)
    say(10, 0.1)
    """
    lr = 0.1 + 0.2
    found = programs.run(body, (lr,), kept=True)[lr]
    assert outcome(found)[0] == "reached", found.message
    printed = (programs.folder / "results/output/b00008-search-000.log").read_text()
    assert printed.splitlines()[0] == "0.30000000000000004-8 3 "
    assert os.environ.get("BATCHSCALE_TRIAL") is None


def test_further_quantities_of_a_program_are_in_its_curve(programs):
    programs.options = {"quantities": ["eval/f1", "test_error"]}
    body = """
    print(json.dumps({"step": 0, "val_error": 0.9, "eval/f1": float("nan")}), flush=True)
    say(10, 0.2, test_error=0.25, **{"eval/f1": 0.7})
    wait()
    """
    result = programs.one(body)
    assert result.curve.further["eval/f1"].tolist()[1:] == [0.7]
    assert result.curve.further["eval/f1"][0] != result.curve.further["eval/f1"][0]
    assert trial_rows.test_error(result) == 0.25


def test_a_quantity_that_is_no_number_fails_the_trial(programs):
    programs.options = {"quantities": ["f1"]}
    assert "f1 must be a number" in programs.one("say(0, 0.9, f1='high')\nwait()").message


@pytest.mark.parametrize("name", ["val_error", "lr", "f1\n"])
def test_names_of_quantities_that_are_taken_or_malformed_are_refused(programs, name):
    programs.options = {"quantities": [name]}
    with pytest.raises(StudyError, match="a measured quantity needs a (unique )?name"):
        programs.resolved("wait()")
