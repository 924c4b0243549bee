"""Architectures by name and by text: what a search on any space ends with, and what a training starts from."""

import hashlib
from collections.abc import Mapping
from difflib import get_close_matches
from types import MappingProxyType
from typing import Final

from nasgauge.spaces.block_cells import BlockCell
from nasgauge.spaces.block_genotypes import Genotype
from nasgauge.spaces.cells import ENCODINGS, Cell
from nasgauge.spaces.errors import NasgaugeError

Architecture = Cell | BlockCell | Genotype
"""A cell of NAS-Bench-201, a cell of the PNAS space, or a genotype of the DARTS space. Each has one text."""


class UnknownArchitecture(NasgaugeError, LookupError):
    """Raised for a text that is neither the name of an architecture nor its description."""


def architecture(text: str) -> Architecture:
    """Read the text of a cell or of a genotype, or look a name up in `PUBLISHED`.

    Raises UnknownArchitecture, InvalidCell, InvalidGenotype.

    >>> architecture("pnasnet5") == architecture(str(PUBLISHED["pnasnet5"]))
    True
    >>> type(architecture("|none~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|")).__name__
    'Cell'
    >>> architecture("darts")
    Traceback (most recent call last):
    ...
    nasgauge.spaces.architectures.UnknownArchitecture: unknown architecture 'darts'; give the text of a cell or of a \
genotype, or one of pnasnet5, tenas-cifar10, tenas-imagenet, darts-v2, pc-darts-cifar10, pc-darts-imagenet, nasnet-a, \
amoebanet-a; did you mean darts-v2?
    """
    text = text.strip()
    if text in PUBLISHED:
        return PUBLISHED[text]
    if text.startswith("|"):
        return Cell.parse(text)
    if text.startswith("Genotype("):
        return Genotype.parse(text)
    if "(" in text:
        return BlockCell.parse(text)
    near = get_close_matches(text, PUBLISHED, n=1)
    hint = f"; did you mean {near[0]}?" if near else ""
    raise UnknownArchitecture(
        f"unknown architecture {text!r}; give the text of a cell or of a genotype, or one of "
        f"{', '.join(PUBLISHED)}{hint}"
    )


def short_name(architecture: Architecture) -> str:
    """A name for files: that in `PUBLISHED`, the six operation codes of a NAS-Bench-201 cell, or a digest of the text.

    >>> short_name(Cell(("skip_connect",) * 6)), short_name(PUBLISHED["pnasnet5"])
    ('111111', 'pnasnet5')
    >>> short_name(BlockCell.parse("identity(h1)+identity(h2)"))
    'blocks-8b6922aae6b7ffcd'
    """
    if isinstance(architecture, Cell):
        return "".join(map(str, _DIGITS.codes(architecture)))
    for name, published in PUBLISHED.items():
        if published == architecture:
            return name
    kind = "blocks" if isinstance(architecture, BlockCell) else "genotype"
    return f"{kind}-{hashlib.sha256(str(architecture).encode()).hexdigest()[:16]}"


_DIGITS: Final = ENCODINGS["meco"]

PUBLISHED: Final[Mapping[str, BlockCell | Genotype]] = MappingProxyType(
    {
        "pnasnet5": BlockCell.parse(
            "max_pool_3x3(h2)+sep_conv_5x5(h2) | max_pool_3x3(h1)+sep_conv_7x7(h1) | "
            "sep_conv_3x3(h1)+sep_conv_5x5(h1) | max_pool_3x3(h1)+sep_conv_3x3(b3) | identity(h1)+sep_conv_3x3(h2)"
        ),
        "tenas-cifar10": Genotype.parse(
            "Genotype(normal=[('dil_conv_3x3', 0), ('sep_conv_5x5', 1), ('sep_conv_3x3', 0), ('sep_conv_3x3', 2), "
            "('skip_connect', 0), ('dil_conv_5x5', 1), ('sep_conv_3x3', 1), ('sep_conv_5x5', 3)], "
            "reduce=[('sep_conv_5x5', 0), ('sep_conv_5x5', 1), ('sep_conv_5x5', 1), ('sep_conv_5x5', 2), "
            "('sep_conv_3x3', 1), ('sep_conv_3x3', 3), ('sep_conv_5x5', 2), ('sep_conv_3x3', 4)])"
        ),
        "tenas-imagenet": Genotype.parse(
            "Genotype(normal=[('sep_conv_3x3', 0), ('skip_connect', 1), ('dil_conv_5x5', 1), ('sep_conv_3x3', 2), "
            "('sep_conv_3x3', 0), ('dil_conv_5x5', 3), ('sep_conv_3x3', 0), ('dil_conv_3x3', 4)], "
            "reduce=[('dil_conv_3x3', 0), ('sep_conv_5x5', 1), ('dil_conv_3x3', 0), ('sep_conv_3x3', 2), "
            "('sep_conv_3x3', 0), ('dil_conv_3x3', 1), ('sep_conv_3x3', 0), ('sep_conv_5x5', 4)])"
        ),
        "darts-v2": Genotype.parse(
            "Genotype(normal=[('sep_conv_3x3', 0), ('sep_conv_3x3', 1), ('sep_conv_3x3', 0), ('sep_conv_3x3', 1), "
            "('sep_conv_3x3', 1), ('skip_connect', 0), ('skip_connect', 0), ('dil_conv_3x3', 2)], "
            "reduce=[('max_pool_3x3', 0), ('max_pool_3x3', 1), ('skip_connect', 2), ('max_pool_3x3', 1), "
            "('max_pool_3x3', 0), ('skip_connect', 2), ('skip_connect', 2), ('max_pool_3x3', 1)])"
        ),
        "pc-darts-cifar10": Genotype.parse(
            "Genotype(normal=[('sep_conv_3x3', 1), ('skip_connect', 0), ('sep_conv_3x3', 0), ('dil_conv_3x3', 1), "
            "('sep_conv_5x5', 0), ('sep_conv_3x3', 1), ('avg_pool_3x3', 0), ('dil_conv_3x3', 1)], "
            "reduce=[('sep_conv_5x5', 1), ('max_pool_3x3', 0), ('sep_conv_5x5', 1), ('sep_conv_5x5', 2), "
            "('sep_conv_3x3', 0), ('sep_conv_3x3', 3), ('sep_conv_3x3', 1), ('sep_conv_3x3', 2)])"
        ),
        "pc-darts-imagenet": Genotype.parse(
            "Genotype(normal=[('skip_connect', 1), ('sep_conv_3x3', 0), ('sep_conv_3x3', 0), ('skip_connect', 1), "
            "('sep_conv_3x3', 1), ('sep_conv_3x3', 3), ('sep_conv_3x3', 1), ('dil_conv_5x5', 4)], "
            "reduce=[('sep_conv_3x3', 0), ('skip_connect', 1), ('dil_conv_5x5', 2), ('max_pool_3x3', 1), "
            "('sep_conv_3x3', 2), ('sep_conv_3x3', 1), ('sep_conv_5x5', 0), ('sep_conv_3x3', 3)])"
        ),
        "nasnet-a": Genotype.parse(
            "Genotype(normal=[('sep_conv_5x5', 1), ('sep_conv_3x3', 0), ('sep_conv_5x5', 0), ('sep_conv_3x3', 0), "
            "('avg_pool_3x3', 1), ('skip_connect', 0), ('avg_pool_3x3', 0), ('avg_pool_3x3', 0), "
            "('sep_conv_3x3', 1), ('skip_connect', 1)], normal_concat=[2, 3, 4, 5, 6], "
            "reduce=[('sep_conv_5x5', 1), ('sep_conv_7x7', 0), ('max_pool_3x3', 1), ('sep_conv_7x7', 0), "
            "('avg_pool_3x3', 1), ('sep_conv_5x5', 0), ('skip_connect', 3), ('avg_pool_3x3', 2), "
            "('sep_conv_3x3', 2), ('max_pool_3x3', 1)], reduce_concat=[4, 5, 6])"
        ),
        "amoebanet-a": Genotype.parse(
            "Genotype(normal=[('avg_pool_3x3', 0), ('max_pool_3x3', 1), ('sep_conv_3x3', 0), ('sep_conv_5x5', 2), "
            "('sep_conv_3x3', 0), ('avg_pool_3x3', 3), ('sep_conv_3x3', 1), ('skip_connect', 1), "
            "('skip_connect', 0), ('avg_pool_3x3', 1)], normal_concat=[4, 5, 6], "
            "reduce=[('avg_pool_3x3', 0), ('sep_conv_3x3', 1), ('max_pool_3x3', 0), ('sep_conv_7x7', 2), "
            "('sep_conv_7x7', 0), ('avg_pool_3x3', 1), ('max_pool_3x3', 0), ('max_pool_3x3', 1), "
            "('conv_7x1_1x7', 0), ('sep_conv_3x3', 5)], reduce_concat=[3, 4, 6])"
        ),
    }
)
"""Published architectures by name.

`pnasnet5`: Liu et al. (2018), figure 1, as in the authors' code (chenxi116/PNASNet.TF). `tenas-cifar10` and
`tenas-imagenet`: Chen et al. (2021), as in the authors' code (chenwydj/DARTS_evaluation). `darts-v2`, `nasnet-a` (Zoph
et al., 2018) and `amoebanet-a` (Real et al., 2019): as in the DARTS repository (Liu et al., 2019). `pc-darts-cifar10`
and `pc-darts-imagenet`: Xu et al. (2020).
"""
