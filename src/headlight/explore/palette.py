"""A colour for every cluster, told apart on white and on black."""

from __future__ import annotations

import math

GOLDEN = 137.50776405003785  # degrees: successive hues stay far apart, however many there are
# The first clusters are the largest: hues chosen by eye, as far from each other as can be.
HUES = (255, 55, 150, 350, 95, 300, 200, 25, 125)
DARK_HUES = (265, 15, 160)  # the next ones: darker, not in between
LIGHTNESS, DARK = (0.66, 0.74, 0.58), 0.52


def palette(count: int) -> list[str]:
    """Colours of clusters 0 to ``count`` − 1.

    Arguments:
        count: 0 or more; the first colours are the same for every count.

    Returns:
        ``#rrggbb`` each; the first 200 all differ.
    """
    colours = []
    for i in range(count):
        if i < len(HUES):
            lightness, hue = LIGHTNESS[0], float(HUES[i])
        elif i < len(HUES) + len(DARK_HUES):
            lightness, hue = DARK, float(DARK_HUES[i - len(HUES)])
        else:
            lightness, hue = LIGHTNESS[i % len(LIGHTNESS)], (HUES[0] + GOLDEN * i) % 360
        colours.append(_hex(lightness, 0.15, hue))
    return colours


def _hex(lightness: float, chroma: float, hue: float) -> str:
    """OKLCH to sRGB. Source: "A perceptual color space for image processing", Ottosson 2020."""
    a, b = (chroma * f(math.radians(hue)) for f in (math.cos, math.sin))
    long = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3
    middle = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3
    short = (lightness - 0.0894841775 * a - 1.2914855480 * b) ** 3
    linear = (
        4.0767416621 * long - 3.3077115913 * middle + 0.2309699292 * short,
        -1.2684380046 * long + 2.6097574011 * middle - 0.3413193965 * short,
        -0.0041960863 * long - 0.7034186147 * middle + 1.7076147010 * short,
    )
    return "#" + "".join(f"{round(255 * _gamma(min(max(v, 0.0), 1.0))):02x}" for v in linear)


def _gamma(value: float) -> float:
    return 12.92 * value if value <= 0.0031308 else 1.055 * value ** (1 / 2.4) - 0.055
