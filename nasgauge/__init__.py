"""nasgauge: fair, fast comparison of neural-architecture searchers on NAS-Bench-201.

>>> import nasgauge as ng
>>> table = ng.open_table()
>>> round(table.query(0, dataset="cifar10", epochs=200, split="test"), 2)
85.86
>>> results = ng.search("evolution", table, dataset="cifar10", budget=20, seeds=2, progress=False)
>>> len(results.frame())
40

Attributes are imported when they are first used, so `import nasgauge` loads neither torch nor pandas.
"""

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from nasgauge.api.checking import check
    from nasgauge.api.results import Results, open_results
    from nasgauge.api.scoring import score
    from nasgauge.api.searching import bench, search
    from nasgauge.api.tables import open_table
    from nasgauge.api.training import train
    from nasgauge.data.tables import AccuracyTable
    from nasgauge.spaces.cells import Cell
    from nasgauge.spaces.errors import NasgaugeError

__all__ = (
    "AccuracyTable",
    "Cell",
    "NasgaugeError",
    "Results",
    "bench",
    "check",
    "open_results",
    "open_table",
    "score",
    "search",
    "train",
)

_HERE: Final = Path(__file__).parent
if not (
    _HERE / "harness"
).is_dir():  # a checkout, installed in editable mode: the other folders stand beside this one
    __path__.append(str(_HERE.parent))

_OWNERS: Final = {
    "AccuracyTable": "data.tables",
    "Cell": "spaces.cells",
    "NasgaugeError": "spaces.errors",
    "Results": "api.results",
    "bench": "api.searching",
    "check": "api.checking",
    "open_results": "api.results",
    "open_table": "api.tables",
    "score": "api.scoring",
    "search": "api.searching",
    "train": "api.training",
}


def __getattr__(name: str) -> Any:
    if name not in _OWNERS:
        raise AttributeError(f"module 'nasgauge' has no attribute {name!r}")
    value = getattr(import_module(f"nasgauge.{_OWNERS[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
