"""The figures of `batchscale diagnose`, a module for each diagnostic."""

from collections.abc import Mapping

from analysis.figures.diagnostics.branches import branch_data, draw_branches
from analysis.figures.diagnostics.flatness import draw_flatness, flatness_data
from analysis.figures.diagnostics.gap import draw_gap, gap_data
from analysis.figures.diagnostics.landscape import (
    between_data,
    draw_between,
    draw_line,
    draw_plane,
    line_data,
    plane_data,
)
from analysis.figures.diagnostics.layers import (
    draw_layers_start_end,
    draw_layers_vs_batch,
    layers_start_end_data,
    layers_vs_batch_data,
)
from analysis.figures.diagnostics.noise import draw_noise, noise_data
from analysis.figures.drawing.kind import FigureKind
from analysis.measures.diagnostics import Diagnosed

_TWO = "two batch sizes"
DIAGNOSTIC_FIGURES: Mapping[str, FigureKind[Diagnosed]] = {
    "noise": FigureKind(data=noise_data, draw=draw_noise, needs="a noise scale"),
    "flatness": FigureKind(
        data=flatness_data, draw=draw_flatness, needs=f"curvature or sharpness at {_TWO}"
    ),
    "landscape_line": FigureKind(data=line_data, draw=draw_line, needs="a landscape"),
    "landscape_plane": FigureKind(data=plane_data, draw=draw_plane, needs="a landscape"),
    "landscape_between": FigureKind(
        data=between_data, draw=draw_between, needs=f"a landscape at {_TWO}"
    ),
    "gap": FigureKind(data=gap_data, draw=draw_gap, needs=f"a gap at {_TWO}"),
    "branches": FigureKind(data=branch_data, draw=draw_branches, needs="branches"),
    "layers_vs_batch": FigureKind(
        data=layers_vs_batch_data, draw=draw_layers_vs_batch, needs=f"layers at {_TWO}"
    ),
    "layers_start_end": FigureKind(
        data=layers_start_end_data, draw=draw_layers_start_end, needs="a measured layer"
    ),
}
"""The figures by name, which is also the stem of their files."""
