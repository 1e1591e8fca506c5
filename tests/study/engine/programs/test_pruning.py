"""Rungs of programs: judged alike whichever trial ran first, at what each had measured by then."""

import json

import pytest

from study.engine.checkpoints import SavedError

FALLS = """
for step in range(0, steps + 1, 5):
    say(step, max(0.0, 0.9 - 0.01 * step * lr))
"""
# trains from its checkpoint; at a rung it waits until that is judged, or for its end
WAITS = """
from pathlib import Path
place = Path(os.environ["BATCHSCALE_CHECKPOINT"])
saved = place / "step"
for step in range(int(saved.read_text()) + 5 if saved.exists() else 0, steps + 1, 5):
    with open("trained", "a") as trained:
        print(lr, step, file=trained)
    say(step, max(0.0, 0.9 - 0.01 * step * lr))
    saved.with_name("new").write_text(str(step))
    saved.with_name("new").replace(saved)  # it may be ended at any time
    for _ in range(3000):
        rungs = next(place.parents[1].glob("*.rungs.json"), None)
        judged = rungs and json.loads(rungs.read_text())
        if step not in (5, 10) or judged and judged["judged"] >= step // 5:
            break
        time.sleep(0.02)
    if judged and lr < (4, 2, 4, 4)[judged["judged"]]:
        wait()  # it is dropped
"""
DROPPED = {
    4.0: ("reached", 20),
    2.0: ("pruned", 10),
    1.0: ("pruned", 5),
    0.1: ("pruned", 5),
}


@pytest.fixture
def pruned(programs):
    programs.race, programs.expected = {"max_steps": 100, "prune": [0.25, 0.5]}, 20
    return programs


def ends(found):
    return {lr: (r.outcome.status, r.outcome.stopped_at) for lr, r in found.items()}


@pytest.mark.parametrize("at_once", [1, 4])
@pytest.mark.parametrize("lrs", [(4.0, 2.0, 1.0, 0.1), (0.1, 1.0, 2.0, 4.0)])
def test_the_dropped_trials_do_not_depend_on_which_trial_runs_first(pruned, lrs, at_once):
    pruned.at_once = at_once
    found = pruned.run(FALLS, lrs)
    assert ends(found) == DROPPED
    assert found[1.0].curve.step.tolist() == [0, 5]


def test_a_trial_that_waits_at_a_rung_resumes_from_its_checkpoint(pruned):
    assert ends(pruned.run(WAITS, (0.1, 4.0, 1.0, 2.0), kept=True)) == DROPPED
    lines = (pruned.folder / "trained").read_text().splitlines()
    trained = {
        lr: [int(s) for rate, s in map(str.split, lines) if float(rate) == lr] for lr in DROPPED
    }
    assert trained.pop(4.0)[:5] == [0, 5, 10, 15, 20]
    assert trained == {2.0: [0, 5, 10], 1.0: [0, 5], 0.1: [0, 5]}


def test_a_stopped_cohort_keeps_what_its_rungs_have_dropped(pruned):
    folder = pruned.folder / "results/checkpoints/b00008-c000"
    pruned.stopping = lambda: any(folder.glob("*.rungs.json"))
    with pytest.raises(SavedError):
        pruned.run(WAITS, (0.1, 4.0, 1.0, 2.0), kept=True)
    (rungs,) = folder.glob("*.rungs.json")
    assert json.loads(rungs.read_text())["dropped"] == {"0": 5.0, "2": 5.0}
    pruned.stopping = lambda: False
    assert ends(pruned.run(WAITS, (0.1, 4.0, 1.0, 2.0), kept=True)) == DROPPED


@pytest.mark.parametrize("at_once", [1, 2])
def test_rungs_that_dropped_every_good_trial_are_void(pruned, at_once):
    pruned.at_once, pruned.expected = at_once, 10
    body = """
    for step in range(0, steps + 1, 2):
        say(step, max(0.5, 0.9 - 0.1 * step) if lr == 1.0 else 0.9 - 0.01 * step)
    """
    found = pruned.run(body, (1.0, 0.5))
    assert ends(found) == {1.0: ("capped", 94), 0.5: ("reached", 62)}


@pytest.mark.parametrize("at_once", [1, 3])
def test_a_trial_that_ran_ahead_makes_no_rung_sound(pruned, at_once):
    pruned.at_once, pruned.expected = at_once, 10
    pruned.race["prune"] = [0.5]
    body = """
    for step in range(0, steps + 1, 5):
        if step == 15 and lr == 1.0:
            time.sleep(0.5)
        say(step, 0.9 - 0.01 * step * lr)
    """
    found = pruned.run(body, (2.1, 1.0, 0.5))
    assert ends(found) == {2.1: ("reached", 30), 1.0: ("capped", 45), 0.5: ("capped", 45)}


ENDS = {
    "fails before the rung": ("if lr == 1.0: sys.exit('broke down')", ("failed", 0)),
    "fails after the rung": ("if lr == 1.0 and step == 10: sys.exit(3)", ("pruned", 5)),
    "is NaN after the rung": ("if lr == 1.0 and step == 10: say(11, float('nan'))", ("pruned", 5)),
    "is NaN before the rung": ("if lr == 1.0: say(1, float('nan'))", ("diverged", 1)),
    "has plainly diverged": ("if lr == 1.0: say(1, 0.9, val_loss=20)", ("diverged", 1)),
    "is not measured by then": ("if step == 0 and lr == 1.0: say(11, 0.7); wait()", ("capped", 30)),
}


@pytest.mark.parametrize(("fault", "expected"), ENDS.values(), ids=ENDS)
def test_how_a_trial_ends_that_is_no_good(pruned, fault, expected):
    pruned.at_once = 2
    body = FALLS.replace("lr))", "lr), val_loss=1.0)") + f"    {fault}\n"
    if expected[0] == "capped":
        body = body.replace("wait()", "[say(s, 0.7) for s in (18, 30)]; wait()")
    found = pruned.run(body, (4.0, 1.0))
    assert ends(found) == {4.0: ("reached", 20), 1.0: expected}
