"""Foreign files to `AccuracyTable`; the only package that opens pickles.

Every unpickler here builds classes from a list of allowed names and nothing else, so a foreign file cannot
run code.
"""

from nasgauge.data.importers.bundled import BUNDLED_LIMITS, bundled_path, import_bundled
from nasgauge.data.importers.exports import (
    EXPORTS,
    TRAININGS,
    import_exports,
    import_trainings,
    trainings_path,
)
from nasgauge.data.importers.hardware import import_hardware
from nasgauge.data.importers.official import CellProgress, import_official
from nasgauge.data.importers.pickles import ImportFailed, unpickle
from nasgauge.data.importers.records import SETS
from nasgauge.data.importers.transnas import import_transnas

__all__ = (
    "BUNDLED_LIMITS",
    "EXPORTS",
    "SETS",
    "TRAININGS",
    "CellProgress",
    "ImportFailed",
    "bundled_path",
    "import_bundled",
    "import_exports",
    "import_hardware",
    "import_official",
    "import_trainings",
    "import_transnas",
    "trainings_path",
    "unpickle",
)
