"""TE-NAS as a searcher: a run with seed s evaluates the cell of stored search s (Chen et al., 2021).

A search takes 80 to 120 CPU seconds and trains nothing, so a benchmark of many seeds replays searches that ship
with the package. `nasgauge score tenas` makes new ones with `nasgauge.searchers.pruning`.
"""

import json
from collections.abc import Mapping
from functools import cache
from numbers import Integral
from pathlib import Path
from types import MappingProxyType
from typing import Final, Generic, Literal, TypeVar

import numpy as np
from pydantic import BaseModel, ConfigDict

from nasgauge.searchers.pruning import (
    NB201_SUPERNET,
    PRESETS,
    RULES,
    Choices,
    Round,
    Search,
    Settings,
)
from nasgauge.spaces.block_genotypes import Genotype
from nasgauge.spaces.cells import EDGES, OPERATIONS, Cell
from nasgauge.spaces.checksums import opened, sealed
from nasgauge.spaces.errors import NasgaugeError, reason
from nasgauge.spaces.nb201 import Space

C = TypeVar("C")

SHIPPED: Final = Path(__file__).with_name("tenas-searches.json")
"""The searches that ship with the package."""

_LARGEST_SEED: Final = 2**31 - 1  # of a run, in result files


class UnreadableSearches(NasgaugeError, ValueError):
    """A file that does not hold TE-NAS searches."""


class OtherSearches(NasgaugeError, ValueError):
    """A file of searches that were made in another way than those to be added."""


class StoredSearch(BaseModel):
    """One finished search."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    preset: str
    """Name of the settings, a key of `nasgauge.searchers.pruning.PRESETS`."""
    rule: str = "rank-sum"
    """One of `nasgauge.searchers.pruning.RULES`."""
    seed: int
    """Seed of weights and images."""
    cell: str
    """The resulting cell in the benchmark's notation, or genotype."""
    seconds: float
    """CPU seconds of all rounds; for other rules than `rank-sum`, those of the measurements that the rule needs."""
    rounds: tuple[Round, ...]
    """What was measured and removed in each round."""

    @classmethod
    def of(
        cls, preset: str, seed: int, search: Search, ended: Cell | Genotype, rule: str = "rank-sum"
    ) -> "StoredSearch":
        """A search as it is stored, with what it ended in."""
        seconds, rounds = search.seconds, search.rounds
        return cls(preset=preset, rule=rule, seed=seed, cell=str(ended), seconds=seconds, rounds=rounds)

    @property
    def states(self) -> tuple[Choices, ...]:
        """The supernet of NAS-Bench-201 at the start and after each round."""
        return Search(start=NB201_SUPERNET, rounds=self.rounds).states


class UnfinishedSearch(BaseModel):
    """The first rounds of a search that goes on after them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    preset: str
    """Name of the settings."""
    rule: str
    """One of `nasgauge.searchers.pruning.RULES`."""
    seed: int
    """Seed of weights and images."""
    rounds: tuple[Round, ...]
    """The rounds that have ended."""

    @property
    def key(self) -> tuple[str, str, int]:
        """What no other search of a file shares: preset, rule and seed."""
        return self.preset, self.rule, self.seed


class SearchFile(BaseModel):
    """Searches that were made in the same way, and how; a file of them carries a checksum, the field `sha256`.

    `SearchFile.read(SHIPPED)` is what the package ships: searches on the CIFAR-10 training set.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1] = 1
    """Version of the format."""
    space: Literal["nb201", "darts"] = "nb201"
    """Search space."""
    command: str
    """What makes one of the searches again, with PRESET and SEED to be filled in."""
    images: str
    """Name of the images (see `nasgauge.data.images.open_images`), or `noise`."""
    image_count: int
    """Number of images that batches were drawn from."""
    image_md5: str
    """Of labels and pixels in CIFAR-10's binary format; empty for noise."""
    machine: str
    """Processor, and number of its cores."""
    workers: int
    """Threads of a search."""
    torch: str
    """Version of PyTorch."""
    clock: str = "CPU seconds of the process, all threads together (time.process_time)"
    """What all seconds are."""
    settings: Mapping[str, Settings]
    """By preset."""
    searches: tuple[StoredSearch, ...] = ()
    """In the order of settings, rule and seed."""
    unfinished: tuple[UnfinishedSearch, ...] = ()
    """Searches that were interrupted, or are running."""

    @classmethod
    def read(cls, path: Path) -> "SearchFile":
        """Read a file that `nasgauge score tenas --out` wrote.

        Raises UnreadableSearches.
        """
        try:
            return cls.model_validate(opened(path.read_bytes()))
        except (OSError, ValueError) as error:
            raise UnreadableSearches(
                f"{path} holds no TE-NAS searches ({reason(error)}); restore it, or remove it: nasgauge score tenas --out "
                f"{path.parent} makes them"
            ) from error

    def resumed(self, path: Path) -> "SearchFile":
        """The searches in `path`, to which those of this description may be added; itself if there is no file.

        Raises UnreadableSearches, and OtherSearches if those in the file were made in another way.
        """
        if not path.exists():
            return self
        kept = self.read(path)
        settings = {**self.settings, **kept.settings}
        differing = [
            f"{name} {getattr(kept, name)!r}, not {getattr(self, name)!r}"
            for name in SearchFile.model_fields
            if name not in ("settings", "searches", "unfinished")
            and getattr(kept, name) != getattr(self, name)
        ] + [
            f"{preset} {settings[preset]}, not {ours}"
            for preset, ours in self.settings.items()
            if settings[preset] != ours
        ]
        if differing:
            raise OtherSearches(
                f"{path} holds searches made with {'; '.join(differing)}; give another file, or the same options"
            )
        return kept.model_copy(update={"settings": settings})

    def with_search(self, search: StoredSearch) -> "SearchFile":
        """The same with one search more, in order of presets, rules and seeds."""
        order = sorted(
            (*self.searches, search), key=lambda one: (one.preset, RULES.index(one.rule), one.seed)
        )
        others = self._unfinished_beside(search.preset, search.rule, search.seed)
        return self.model_copy(update={"searches": tuple(order), "unfinished": others})

    def with_round(self, preset: str, rule: str, seed: int, step: Round) -> "SearchFile":
        """The same with one round more of an unfinished search."""
        rounds = (*self.rounds(preset, rule, seed), step)
        begun = UnfinishedSearch(preset=preset, rule=rule, seed=seed, rounds=rounds)
        others = self._unfinished_beside(preset, rule, seed)
        return self.model_copy(update={"unfinished": (*others, begun)})

    def rounds(self, preset: str, rule: str, seed: int) -> tuple[Round, ...]:
        """The rounds that an unfinished search has ended; none of a search that is not in the file."""
        return next((one.rounds for one in self.unfinished if one.key == (preset, rule, seed)), ())

    def _unfinished_beside(self, *key: str | int) -> tuple[UnfinishedSearch, ...]:
        return tuple(one for one in self.unfinished if one.key != key)

    def by_seed(self, preset: str, rule: str = "rank-sum") -> dict[int, StoredSearch]:
        """The searches of a preset and a rule."""
        return {one.seed: one for one in self.searches if (one.preset, one.rule) == (preset, rule)}

    def to_json(self) -> str:
        """Text of the file: a line for each field, the checksum, and for each search."""
        values = sealed(self.model_dump(mode="json"))
        searches = ",\n".join(map(json.dumps, values.pop("searches")))
        lines = [f"{json.dumps(name)}: {json.dumps(value)}" for name, value in values.items()]
        return "{\n" + ",\n".join([*lines, f'"searches": [\n{searches}\n]']) + "\n}\n"


@cache
def stored(preset: str = "released-paper-settings", path: Path = SHIPPED) -> Mapping[int, StoredSearch]:
    """The searches of a preset in a file, by seed; by default those that ship with the package.

    Raises UnreadableSearches.

    >>> search = stored("released-paper-settings")[0]
    >>> search.cell
    '|nor_conv_1x1~0|+|nor_conv_1x1~0|nor_conv_1x1~1|+|nor_conv_3x3~0|nor_conv_3x3~1|nor_conv_1x1~2|'
    >>> [round(step.kappa) for step in search.rounds]
    [346, 86, 117]
    """
    kept = SearchFile.read(path)
    if kept.space != "nb201":
        raise UnreadableSearches(f"{path} holds searches of {kept.space}; give searches of nb201")
    return MappingProxyType(kept.by_seed(preset))


class TENAS(Generic[C]):
    """A finished TE-NAS search: it evaluates the cell of the search, and stops.

    A run with seed s is stored search s of the preset, so no search occurs twice in a campaign. Where no search has
    that seed, the searcher asks for nothing and the run has no steps. The cost of the search is charged to the run
    as `search_seconds`.

    The searches were made on CIFAR-10 training images; a run on another dataset evaluates the same cell there.
    (Chen et al. search on each dataset.) Their seconds are those of one CPU core, those of a table are of the GPU
    on which its cells were trained; the paper prints 1,558 GPU seconds for a search.

    `rng` has to be made from a single seed, as the first generator of a run or `numpy.random.default_rng(seed)`:
    the seed of the run is the entropy of its `numpy.random.SeedSequence`. No number is drawn.

    Parameters
    ----------
    preset
        Settings of the searches: `released-paper-settings` or `released`, see `nasgauge.searchers.pruning.PRESETS`.
    searches
        File of your own searches, made by `nasgauge score tenas`; empty for those of the package.

    Raises ValueError for an unknown preset, or a generator that was not made from a single seed; UnreadableSearches.
    """

    def __init__(
        self,
        space: Space[C],
        rng: np.random.Generator,
        *,
        preset: str = "released-paper-settings",
        searches: str = "",
    ) -> None:
        if preset not in PRESETS:
            raise ValueError(f"preset must be one of {', '.join(PRESETS)}, not {preset!r}")
        if space.decisions != (len(OPERATIONS),) * len(EDGES):
            raise ValueError("the stored searches are of NAS-Bench-201; search darts by nasgauge score tenas")
        self.space = space
        self.search = stored(preset, Path(searches) if searches else SHIPPED).get(_seed_of(rng))
        self._asked = False

    def ask(self) -> list[C]:
        """The cell of the stored search, once."""
        if self.search is None or self._asked:
            return []
        self._asked = True
        operations = Cell.parse(self.search.cell).ops
        return [self.space.decide(tuple(OPERATIONS.index(operation) for operation in operations))]

    @property
    def absent(self) -> bool:
        """Whether no search has the seed of this run."""
        return self.search is None

    def tell(self, cell: C, accuracy: float) -> None:
        """Ignore the accuracy: the search is over."""

    @property
    def search_seconds(self) -> float:
        """CPU seconds of the stored search, from the moment its cell is asked for."""
        return self.search.seconds if self.search is not None and self._asked else 0.0


def _seed_of(rng: np.random.Generator) -> int:
    """The seed that a generator was made from.

    Raises ValueError.
    """
    entropy = getattr(getattr(rng.bit_generator, "seed_seq", None), "entropy", None)
    if not isinstance(entropy, Integral) or not 0 <= int(entropy) <= _LARGEST_SEED:
        raise ValueError(
            f"a run is the stored search of its seed, and this generator was made from {entropy!r}; "
            f"give numpy.random.default_rng(seed) with one seed from 0 to {_LARGEST_SEED}"
        )
    return int(entropy)
