"""Which numbers are seeds, and how many a campaign may have."""

from typing import Final

from nasgauge.spaces.errors import NasgaugeError

LAST_SEED: Final = 2**31 - 1
"""The largest seed that result files hold."""
MOST_SEEDS: Final = 1_000_000
"""The most seeds of a campaign, whose units are all listed before any of them runs."""


class InvalidSeeds(NasgaugeError, ValueError):
    """Seeds of a campaign that run nothing, or that result files do not hold."""


def seed_range(seeds: int | range) -> range:
    """So many seeds from 0, or those of a range without gaps.

    Raises InvalidSeeds.

    >>> seed_range(3)
    range(0, 3)
    """
    chosen = range(seeds) if isinstance(seeds, int) else seeds
    if not chosen or chosen.step != 1 or chosen.start < 0:
        raise InvalidSeeds(f"seeds {seeds} run nothing; give a count of at least 1, or a range as range(20)")
    if chosen.stop - chosen.start > MOST_SEEDS or chosen.stop - 1 > LAST_SEED:
        raise InvalidSeeds(
            f"seeds {seeds} are too many or too large; give at most {MOST_SEEDS}, none above {LAST_SEED}"
        )
    return chosen
