import matplotlib as mpl
import pytest
from matplotlib.colors import to_hex

from analysis.figures.drawing.colors import (
    MIN_CONTRAST,
    OKABE_ITO,
    color,
    contrast,
    ink,
    pale,
    paper,
    ramp,
    readable,
)
from analysis.figures.drawing.kind import Look, style


@pytest.mark.parametrize("theme", ["default", "dark_background", "Solarize_Light2"])
def test_text_of_any_color_can_be_read(theme):
    with mpl.style.context(theme), style(Look()):
        for one in (*OKABE_ITO, *ramp(9), ink()):
            known = contrast(ink(), paper()) >= MIN_CONTRAST
            assert contrast(readable(one), paper()) >= MIN_CONTRAST or not known
            assert readable(one) == to_hex(one) or contrast(one, paper()) < MIN_CONTRAST


def test_colors_are_those_of_the_users_cycle():
    with style(Look()):
        assert [color(place) for place in range(6)] == [
            name.lower() for name in (*OKABE_ITO, OKABE_ITO[0])
        ]
    with mpl.rc_context({"axes.prop_cycle": mpl.cycler(color=["#010203"])}), style(Look()):
        assert color(0) == color(3) == "#010203"
    with mpl.rc_context({"axes.prop_cycle": mpl.cycler(linestyle=["-"])}), style(Look()):
        assert color(1) == OKABE_ITO[1].lower()


def test_contrast_follows_the_guidelines():
    assert contrast("#767676", "white") == pytest.approx(4.54, abs=0.01)
    assert contrast("white", "#767676") == contrast("#767676", "white")


def test_pale_lies_between_ink_and_paper():
    with style(Look()):
        assert [pale(0), pale(1)] == [ink(), paper()]
        assert contrast(pale(0.3), paper()) > contrast(pale(0.6), paper())


def test_ramp_goes_from_dark_to_light():
    light = [sum(int(one[at : at + 2], 16) for at in (1, 3, 5)) for one in ramp(5)]
    assert light == sorted(light)
    assert len(set(light)) == 5
