"""Foreign files to `AccuracyTable`; the only package that opens pickles.

Every unpickler here builds classes from a list of allowed names and nothing else, so a foreign file can
neither run code nor bring in a class.
"""

from nasgauge.data.importers.bundled import BUNDLED_LIMITS, bundled_path, import_bundled
from nasgauge.data.importers.exports import EXPORTS, import_exports
from nasgauge.data.importers.official import CellProgress, import_official
from nasgauge.data.importers.pickles import ImportFailed, unpickle
from nasgauge.data.importers.records import SETS

__all__ = (
    "BUNDLED_LIMITS",
    "EXPORTS",
    "SETS",
    "CellProgress",
    "ImportFailed",
    "bundled_path",
    "import_bundled",
    "import_exports",
    "import_official",
    "unpickle",
)
