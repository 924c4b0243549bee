"""Names of searchers, datasets and tables from result files: as text, as part of a file name, and as papers write them."""

import re
import zlib
from collections import Counter
from collections.abc import Iterable
from typing import Final

LONGEST: Final = 40
"""Characters of a name in figures."""

_DATASETS: Final = {"cifar10": "CIFAR-10", "cifar10-valid": "CIFAR-10", "cifar100": "CIFAR-100"}
_SEARCHERS: Final = {
    "random": "Random search",
    "evolution": "Regularized evolution",
    "local": "Local search",
    "reinforce": "REINFORCE",
    "pnas": "PNAS",
    "pnas-ucb": "PNAS (UCB)",
    "pnas-published": "PNAS (published)",
    "tenas": "TE-NAS",
    "bananas": "BANANAS",
    "smbo": "SMBO",
    "tpe": "TPE",
    "evolution-published": "Regularized evolution (published)",
    "reinforce-published": "REINFORCE (published)",
    "nevergrad": "Nevergrad (1+1)",
    "nsga2": "NSGA-II",
    "hyperband": "Hyperband",
    "bohb": "BOHB",
    "asha": "ASHA",
    "npenas": "NPENAS",
    "gp": "Gaussian process",
}


def printable(text: str) -> str:
    """Text without control characters, on one line.

    >>> printable("a\\x1b[31m\\nb")
    'a�[31m b'
    """
    return "".join(c if c.isprintable() else " " if c.isspace() else "�" for c in text)


def slug(text: str) -> str:
    """A name as part of a file name: letters, digits and `._=-`, at most 80; a checksum follows a changed name.

    >>> slug("cifar10"), slug("rank sum"), slug("/../x")
    ('cifar10', 'rank-sum', 'x-bb4f3d4c')
    """
    dashed = re.sub(r",? +|,", "-", text)
    kept = re.sub(r"[^\w.=-]+", "-", dashed).strip("-.")[:80]
    same = kept and kept == dashed
    return kept if same else f"{kept}-{zlib.crc32(text.encode(errors='replace')):08x}".lstrip("-")


def base_name(searcher: str) -> str:
    """A searcher's name without its options.

    >>> base_name("evolution:population=50"), base_name("mine:Mine:population=50"), base_name("mine:Mine")
    ('evolution', 'mine:Mine', 'mine:Mine')
    """
    head, *rest = searcher.split(":")
    return f"{head}:{rest[0]}" if rest and "=" not in rest[0] else head


def is_own(searcher: str) -> bool:
    """Whether a searcher is the user's own class, `module:Class`."""
    return ":" in base_name(searcher)


def shortened(text: str, longest: int = LONGEST) -> str:
    """A name of at most so many characters, its middle left out, as figures show it.

    A class of a notebook is named alone. Underscores in front are left out: Matplotlib's legends skip such names.

    >>> shortened("evolution:population=50,tournament=3", 20)
    'evolution:…rnament=3'
    >>> shortened("__main__:Mine"), shortened("_mine:Mine")
    ('Mine', 'mine:Mine')
    """
    text = printable(text.removeprefix("__main__:")).lstrip("_")
    if len(text) <= longest:
        return text
    return f"{text[: longest // 2]}…{text[len(text) - (longest - longest // 2 - 1) :]}"


def dataset_name(dataset: str) -> str:
    """A dataset as papers write it.

    >>> dataset_name("cifar100"), dataset_name("ImageNet16-120")
    ('CIFAR-100', 'ImageNet16-120')
    """
    return _DATASETS.get(dataset, printable(dataset))


def searcher_names(searchers: Iterable[str], ours: str = "") -> dict[str, str]:
    """Searchers as papers write them, each another name: `(ours)` marks `ours`, or the user's own classes.

    >>> list(searcher_names(["pnas", "evolution:population=50", "mine:Mine"]).values())
    ['PNAS', 'Regularized evolution (population=50)', 'Mine (ours)']
    """
    found = {}
    for searcher in searchers:
        base = base_name(searcher)
        options = printable(searcher[len(base) + 1 :]).replace(",", ", ")
        name = _SEARCHERS.get(base, printable(base.rpartition(":")[2]))
        mine = searcher == ours if ours else is_own(searcher)
        found[searcher] = f"{name}{f' ({options})' if options else ''}{' (ours)' if mine else ''}"
    often = Counter(found.values())
    return {key: name if often[name] == 1 else printable(key) for key, name in found.items()}
