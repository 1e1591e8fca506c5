"""TensorBoard event files: a folder for each run, which `batchscale import` can read."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from tensorboardX import SummaryWriter

from study.tracking.tracker import FinishedRun


class EventFiles:
    """Writes `tensorboard/<run>/events.out.tfevents...` for `tensorboard --logdir`."""

    def __init__(self, study: str, folder: Path) -> None:
        """Write beside the results."""
        self._folder = folder / "tensorboard"

    def log(self, run: FinishedRun) -> None:
        """Write scalars, and the settings for TensorBoard's tab of hyperparameters."""
        with SummaryWriter(str(self._folder / run.name)) as writer:
            for step, values in run.measurements:
                for name, value in values.items():
                    writer.add_scalar(name, value, step)
            outcome = {f"outcome/{name}": value for name, value in run.numbers.items()}
            writer.add_hparams(dict(run.config), outcome, name="settings")

    def close(self, summary: Mapping[str, float], figures: Sequence[Path]) -> None:
        """Write the study's numbers and figures as a run of their own."""
        if not summary and not figures:
            return
        with SummaryWriter(str(self._folder / "summary")) as writer:
            for name, value in summary.items():
                writer.add_scalar(f"summary/{name}", value)
            for figure in figures:
                with Image.open(figure) as image:
                    pixels = np.asarray(image.convert("RGB"))
                writer.add_image(figure.stem, pixels, dataformats="HWC")
