"""What a test could have shown: the smallest difference that it finds four times in five. Pure."""

from __future__ import annotations

import math

from scipy import special

LEVEL, POWER = 0.05, 0.8


def smallest_difference(images: int, discordance: float, power: float = POWER) -> float:
    """The smallest difference of two proportions that McNemar's test shows with this power (Connor 1987), as a fraction.

    ``discordance``: the share of images on which the two models differ. A difference larger than that share needs the
    share to be at least as large.
    """
    z_level, z_power = float(special.ndtri(1 - LEVEL / 2)), float(special.ndtri(power))

    def lack(delta: float) -> float:
        share = max(discordance, delta)
        return z_level * math.sqrt(share) + z_power * math.sqrt(max(share - delta**2, 0.0)) - delta * math.sqrt(images)

    low, high = 0.0, 1.0
    while high - low > 1e-9:  # lack falls as delta grows; with too few images it never gets below 0, and 1 is the answer
        middle = (low + high) / 2
        low, high = (middle, high) if lack(middle) > 0 else (low, middle)
    return high
