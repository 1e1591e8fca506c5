"""The figures of `batchscale diagnose`."""

from collections.abc import Mapping

from analysis.figures.diagnostics.landscape import BETWEEN, LINE, PLANE
from analysis.figures.diagnostics.layers import LAYERS_START_END, LAYERS_VS_BATCH
from analysis.figures.diagnostics.noise import BRANCHES, NOISE
from analysis.figures.diagnostics.solutions import FLATNESS, GAP
from analysis.figures.drawing.kind import FigureKind
from analysis.measures.diagnostics import Diagnosed

DIAGNOSTIC_FIGURES: Mapping[str, FigureKind[Diagnosed]] = {
    "noise": NOISE,
    "flatness": FLATNESS,
    "landscape_line": LINE,
    "landscape_plane": PLANE,
    "landscape_between": BETWEEN,
    "gap": GAP,
    "branches": BRANCHES,
    "layers_vs_batch": LAYERS_VS_BATCH,
    "layers_start_end": LAYERS_START_END,
}
"""The figures by name, the stem of their files."""
