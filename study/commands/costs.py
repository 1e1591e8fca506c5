"""The command `cost`: what training to the target costs."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from typer import Option

from study.commands.options import (
    DataDir,
    FontSize,
    Formats,
    Json,
    RunCode,
    StudyFolder,
    Target,
    Title,
    Width,
    finite,
    integers,
    use_data,
)
from study.commands.terminal import Terminal, console
from study.errors import StudyError

if TYPE_CHECKING:
    from analysis.cost.devices import Link
    from analysis.cost.step_costs import StepCosts
    from analysis.tables.folder import ResultsFolder

_GIGA, _MICRO = 1e9, 1e-6
_LATENCY = 10.0  # microseconds, where only the bandwidth is given


def cost(  # noqa: PLR0913 - one argument for each flag of the command
    location: StudyFolder,
    step_times: Annotated[
        Path | None,
        Option(
            metavar="FILE",
            help="Table of step times measured elsewhere: batch_size, seconds_per_step.",
        ),
    ] = None,
    recorded: Annotated[bool, Option("--recorded", help="Reuse the recorded step times.")] = False,
    seconds: Annotated[
        float, Option(min=0.01, callback=finite, help="Seconds of timing at each batch size.")
    ] = 0.3,
    threads: Annotated[
        int | None,
        Option(min=1, max=10_000, help="CPU threads.", show_default="one per core"),
    ] = None,
    address: Annotated[
        str | None, Option(help="Time on a Ray cluster: auto, or host:port.")
    ] = None,
    price: Annotated[float | None, Option(callback=finite, help="Price of a device-hour.")] = None,
    devices: Annotated[
        str | None,
        Option(
            metavar="N,N,...", help="Numbers of devices to split a batch over.", show_default=False
        ),
    ] = None,
    bandwidth: Annotated[
        float | None,
        Option(
            callback=finite,
            help="Bandwidth of each device's link in GB/s.",
            show_default="measured if there are several GPUs",
        ),
    ] = None,
    latency: Annotated[
        float | None,
        Option(
            min=0,
            callback=finite,
            help="With --bandwidth: latency of a message in microseconds.",
            show_default="10",
        ),
    ] = None,
    parameters: Annotated[
        int | None,
        Option(
            min=1,
            help="Trainable parameters of the model.",
            show_default="from the timed model",
        ),
    ] = None,
    target: Target = None,
    run_code: RunCode = False,
    data_dir: DataDir = None,
    formats: Formats = "png,svg",
    width: Width = None,
    font_size: FontSize = None,
    title: Title = True,
    as_json: Json = False,
) -> None:
    """Time a training step at every batch size and compute the cost of training to the target."""
    if sum((step_times is not None, recorded, address is not None)) > 1:
        raise StudyError(
            "step times must come from one place, got two of --step-times, --recorded and "
            "--address; use only one"
        )
    if threads is not None and (recorded or step_times is not None):
        raise StudyError(
            "--threads is for timing steps, got it with step times that exist; leave it out"
        )
    use_data(data_dir)
    from analysis.cost.devices import Link
    from analysis.cost.record import cost_record, print_costs, write_cost
    from analysis.cost.step_costs import StepCosts, write_costs
    from analysis.cost.step_costs import step_times as times_in
    from analysis.cost.study_cost import Terms, check_joinable, join_costs
    from analysis.figures.drawing.kind import look_of, write_all
    from analysis.figures.one_study.costs import COST_FIGURES
    from analysis.report.summary import analyze
    from analysis.tables.folder import ResultsFolder
    from study.orchestration.resources import check_address
    from study.storage.consolidate import study_tables

    look = look_of(formats, width, font_size, title)
    link, counts = None, _counts(devices, has_link=bandwidth is not None or parameters is not None)
    if bandwidth is not None:
        delay = _MICRO * (_LATENCY if latency is None else latency)
        link = Link(bandwidth=_GIGA * bandwidth, latency=delay, parameters=parameters)
    elif latency is not None:
        raise StudyError(
            "--latency describes a link of known bandwidth, got no --bandwidth; add it, or leave "
            "--latency out"
        )
    elif max(counts, default=1) > 1 and step_times is None and address is None:
        link = _measured_link(parameters)
    terms = Terms(price=price, devices=counts, link=link)
    folder = ResultsFolder.at(location)
    check_address(address)
    rows = None if step_times is None else times_in(step_times)
    step_costs = _recorded(folder) if recorded else None
    analysis = analyze(study_tables(folder), target)
    check_joinable(analysis, terms)
    if step_costs is None:
        rows = rows or _timed(folder, seconds, threads, address, run_code)
        step_costs = StepCosts.of(rows)
    costs = join_costs(analysis, step_costs, terms)
    if rows is not None:
        write_costs(folder, rows)
    figures = folder / "figures"
    written = write_cost(costs, folder)
    written += [figures / name for name in write_all(COST_FIGURES, costs, figures, look)]
    if as_json:
        console.document(cost_record(costs))
        return
    print_costs(costs, console)
    console.places(written, f".{look.formats[0]}")


def _counts(devices: str | None, has_link: bool) -> tuple[int, ...]:
    """Return the numbers of devices, ascending; refuse a link without devices."""
    if devices is None and has_link:
        raise StudyError(
            "--bandwidth and --parameters describe an all-reduce between devices, got no "
            "--devices; add, for example, --devices 1,2,4,8"
        )
    return () if devices is None else tuple(sorted(set(integers("--devices", devices))))


def _measured_link(parameters: int | None) -> "Link | None":
    """Return the link between the GPUs of this machine; None with fewer than two."""
    import torch

    count = torch.cuda.device_count()
    if count < 2:
        return None
    from study.costing.all_reduce import measured_link

    with Terminal(stderr=True).status(f"timing all-reduces over {count} GPUs"):
        return replace(measured_link(count), parameters=parameters)


def _recorded(folder: "ResultsFolder") -> "StepCosts":
    """Return the step times that an earlier command recorded; refuse if there are none."""
    from analysis.cost.step_costs import read_costs

    costs = read_costs(folder)
    if costs is None:
        raise StudyError(
            f"--recorded needs the step times of an earlier `cost`, got none in {folder}; leave "
            "the option out to measure them"
        )
    return costs


def _timed(
    folder: "ResultsFolder",
    seconds: float,
    threads: int | None,
    address: str | None,
    run_code: bool,
) -> list[dict[str, Any]]:
    """Time training steps here or on a cluster; return the rows of `cost.parquet`."""
    from analysis.tables.files import read_study_file
    from study.costing.measuring import Job, timed_here, timed_on_cluster

    if "imported" in read_study_file(folder):
        raise StudyError(
            f"only a study that batchscale trains can be timed, got an imported one in {folder}; "
            "give its step times with --step-times"
        )
    job = Job.of(folder, seconds, threads)
    with Terminal(stderr=True).status("timing training steps") as status:
        if address is not None:
            return timed_on_cluster(job, address, run_code)
        return timed_here(job, run_code, lambda size: status.update(f"timing batch size {size}"))
