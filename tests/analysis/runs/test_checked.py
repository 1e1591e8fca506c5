"""Runs that contradict themselves: refused with the rows, and nothing is written."""

import pytest

from analysis.errors import AnalysisError

HEAD = "run,batch_size,lr,step,val_error\n"
ROWS = "run,batch_size,steps,stopped_at,best_error,status\n"
WRONG = {
    "two settings": (
        f"{HEAD}a,8,.1,1,.5\na,8,.2,2,.4",
        r"one lr, got 0\.1 and 0\.2 .* rows 2 and 3",
    ),
    "two batch sizes": (f"{HEAD}a,8,.1,1,.5\na,9,.1,2,.4", "one batch_size, got .* rows 2 and 3"),
    "falling": (
        f"{HEAD}a,8,.1,5,.5\na,8,.1,2,.4",
        "step must rise .* 5 and then 2 .* rows 2 and 3",
    ),
    "twice": (f"{HEAD}a,8,.1,5,.5\nb,8,.1,5,.5\na,8,.1,5,.4", "must rise .* rows 2 and 4"),
    "text": (
        f"{HEAD}a,8,.1,1,.5\na,8,.1,2,oops",
        "val_error must be a number, got 'oops' in row 3",
    ),
    "comma": (f'{HEAD}a,8,.1,1,"0,5"', "val_error must be a number, got '0,5' in row 2"),
    "too many examples": (f"{HEAD}a,4000000000,.1,9000000000000000,.5", "9e.15 x 4e.09 in row 2"),
    "percentages": (
        f"{HEAD}a,8,.1,1,55",
        "must be a share from 0 to 1, got 55 in row 2.*val_loss=",
    ),
    "text in a setting": (f"{HEAD}a,8,fast,1,.5", "lr must be a number, got 'fast' in row 2"),
    "infinite setting": (f"{HEAD}a,8,inf,1,.5", "lr must be finite, got inf in row 2"),
    "half a step": (f"{HEAD}a,8,.1,1.5,.5", r"step must be an integer from 0, got 1\.5 in row 2"),
    "negative step": (f"{HEAD}a,8,.1,-1,.5", "step must be an integer from 0, got -1 in row 2"),
    "no step": (f"{HEAD}a,8,.1,,.5", "a measurement must have a step, got none in row 2"),
    "no batch size": (f"{HEAD}a,,.1,1,.5", "a run must have a batch_size, got none for a in row 2"),
    "batch size 0": (f"{HEAD}a,0,.1,1,.5", "batch_size must be an integer from 1, got 0 in row 2"),
    "no run": (f"{HEAD}a,8,.1,1,.5\n,8,.1,2,.4", "must name its run, got none in row 3"),
    "short row": (f"{HEAD}a,8,.1,1,.5\na,8,.1", "as many cells as the header, 5, got 3 in row 3"),
    "percent": (
        "run,batch_size,step,val_accuracy\na,8,1,93",
        "a share from 0 to 1, got 93 in row 2",
    ),
    "percents": (f"{HEAD}a,8,.1,1,.5\na,8,.1,2,40", "share .* got 40 in row 3 .* val_loss"),
    "score": (f"{HEAD}a,8,.1,1,-.5", "a share from 0 to 1, got -0.5 in row 2"),
    "header alone": (HEAD, "a header and at least one row"),
    "empty": ("", "a header and at least one row"),
    "one name twice": ("run,run\na,b", "different names, got 'run' more than once"),
    "column": (
        "run,batch_size,at,err\na,8,1,.5",
        "a column step .* got the columns run, batch_size",
    ),
    "no error": ("run,batch_size,step\na,8,1", "a column of val_error, val_accuracy, val_loss"),
    "no size": ("run,step,val_error\na,8,1", "a column batch_size, got the columns run, step"),
    "two rows": (f"{ROWS}a,8,100,,,\na,8,90,,,", "a run must have one row, .* rows 2 and 3"),
    "a miss": (f"{ROWS}a,8,,,,", "a run without steps must have stopped_at, .* got none in row 2"),
    "early stop": (f"{ROWS}a,8,100,50,,", "steps must be at most stopped_at, got 50, 100 in row 2"),
    "bracket": (
        "run,batch_size,steps,steps_before\na,8,100,100",
        "steps_before must be below steps, got 100 and 100 in row 2",
    ),
    "contradiction": (f"{ROWS}a,8,100,,0.5,", r"best_error is below the target, 0\.1, .* row 2"),
    "status": (f"{ROWS}a,8,100,,,odd", "a status must be one of .* got 'odd' in row 2"),
    "outlier": (
        "run,batch_size,drop,step,val_error\n"
        "a,8,.1,1,.5\na,8,.1,2,.5\nb,8,.1,1,.5\nb,8,.3,2,.5\nc,8,.1,1,.5\nc,8,.1,2,.5",
        "one drop, got .* rows 4 and 5 .* --columns drop=",
    ),
    "two trials": (
        "run,batch_size,role,trial,step,val_error\na,8,search,0,1,.5\nb,8,search,0,1,.5",
        "a number of its own, .* rows 2 and 3",
    ),
}


@pytest.mark.parametrize(("text", "message"), WRONG.values(), ids=WRONG)
def test_rows_that_contradict_each_other_are_refused(imports, tmp_path, text, message):
    with pytest.raises(AnalysisError, match=message):
        imports(text, target=0.1)
    assert not (tmp_path / "results").exists()


def test_a_line_of_json_is_named(imports):
    lines = '{"run": "a", "batch_size": 8, "step": 1, "val_error": 0.5}\n\n{"run": [}\n'
    with pytest.raises(AnalysisError, match="must be a JSON object, got something else in line 3"):
        imports(lines, "made.jsonl")
    with pytest.raises(AnalysisError, match="val_error must be a number, got True in line 1"):
        imports(lines.replace("0.5", "true").splitlines()[0], "bool.jsonl")
    with pytest.raises(AnalysisError, match="in line 1 of .*: a key occurs twice"):
        imports('{"step": 1, "step": 2}', "twice.jsonl")


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ("step", "must be pairs name=column"),
        ("step=a,step=b", "each name once, got 'step=b'"),
        ("step=at", "'at' for step, got the columns run, batch_size"),
        ("interval=lr", "must not have the name of a column of the tables, got 'interval'"),
        ("a b=lr", "name of a hyperparameter must consist of letters, .* got 'a b' in --columns"),
        ("a;b=lr", "a name in --columns must consist of letters, .* got 'a;b'"),
        ("x=val_error", "must have a column of val_error, val_accuracy, val_loss"),
        ("lr=batch_size", "must have a column batch_size"),
    ],
)
def test_a_mapping_that_says_nothing_is_refused(imports, columns, message):
    with pytest.raises(AnalysisError, match=message):
        imports(f"{HEAD}a,8,.1,1,.5", columns=columns)


def test_units_that_do_not_fit_are_refused(imports):
    with pytest.raises(
        AnalysisError, match="must count updates, .* got epochs, the column 'Epoch'"
    ):
        imports("run,batch_size,Epoch,val_error\na,8,1,.5", columns="step=Epoch")
    text = f"{HEAD}a,8,.1,1,.5"
    for options, message in (
        ({"step_unit": "epochs"}, "must be one of updates, examples, tokens, got 'epochs'"),
        ({"step_unit": "tokens"}, "--tokens-per-example go together"),
        ({"tokens": 8}, "--tokens-per-example go together"),
        ({"step_unit": "tokens", "tokens": 0}, "must be at least 1, got 0"),
        ({"metric": "val_loss"}, "--metric must be one of the measurements of the runs, val_er"),
    ):
        with pytest.raises(AnalysisError, match=message):
            imports(text, **options)


def test_settings_may_stand_in_one_row_and_losses_in_rows_of_their_own(imports):
    made = imports(
        f"{HEAD.strip()},train_loss,note\na,8,.1,0,.9,,x\na,,,5,,1.5,y\na,,,5,.5,,\na,,,9,,,z\n",
        target=0.6,
    )
    assert made.curves[["step", "val_error"]].to_numpy().tolist() == [[0, 0.9], [5, 0.5]]
    assert made.curves["train_loss"].tolist()[1] == 1.5
    assert made.trials[["lr", "steps", "stopped_at"]].to_numpy().tolist() == [[0.1, 5, 9]]
    assert "columns left out: note;" in made.sentence


def test_a_column_that_is_left_out_is_no_setting(imports):
    text = f"{HEAD}a,8,.1,1,.5\na,8,.2,2,.4"
    made = imports(text.replace("\n", ",\n") + ",", columns="lr=")
    assert "lr" not in made.trials
    assert "columns left out" not in made.sentence  # one without a name


def test_the_time_that_a_run_took_is_no_setting_unless_it_is_named(imports):
    text = "run,batch_size,lr,seed,Runtime,step,val_error\na,8,.1,0,31,9,.5\nb,8,.1,1,32,9,.4\n"
    made = imports(text, target=0.45)
    assert "Runtime" not in made.trials
    assert "1 replicates; " in made.sentence
    assert "columns left out: Runtime; map those that are hyper" in made.sentence
    named = imports(text, "named.csv", columns="Runtime=Runtime", target=0.45)
    assert named.trials["Runtime"].tolist() == [31, 32]


def test_without_an_id_a_run_is_its_settings(imports):
    made = imports(
        "batch_size,lr,step,val_error\n8,.1,1,.5\n8,.2,1,.5\n8,.1,2,.4\n8,.2,2,.3\n", target=0.35
    )
    assert made.trials[["lr", "status"]].to_numpy().tolist() == [
        [0.1, "exhausted"],
        [0.2, "reached"],
    ]


def test_a_run_that_ends_in_empty_cells_has_diverged(imports):
    def statuses(rows, head="run,batch_size,lr,step,val_error", name="made"):
        made = imports(f"{head}\n{rows}", f"{name}.csv", target=0.1)
        return made.trials["status"].tolist(), made.trials["stopped_at"].tolist()

    # as pandas writes NaN
    assert statuses("a,8,.1,0,.9\na,8,.1,10,.5\na,8,.1,20,\na,8,.1,30,") == (["diverged"], [30])
    # measured now and then
    often = "a,8,.1,0,.9\na,8,.1,10,\na,8,.1,20,.5\na,8,.1,30,"
    assert statuses(often, name="often") == (["exhausted"], [30])
    # something else was measured there
    head = "run,batch_size,lr,step,val_error,train_loss"
    assert statuses("a,8,.1,0,.9,\na,8,.1,10,,.4", head, "train") == (["exhausted"], [10])
    head = "run,batch_size,lr,step,val_error,acc"
    assert statuses("a,8,.1,0,.9,.1\na,8,.1,10,,.4", head, "other") == (["exhausted"], [10])
    # the table says how it ended
    head = "run,batch_size,lr,step,val_error,status"
    rows = "a,8,.1,0,.9,finished\na,8,.1,10,,finished"
    assert statuses(rows, head, "told") == (["exhausted"], [10])
