"""Foreign files to `AccuracyTable`; the only package that opens pickles.

Every unpickler here builds classes from a list of allowed names and nothing else, so a foreign file can
neither run code nor bring in a class.
"""

from data.importers.bundled import BUNDLED_LIMITS, bundled_path, import_bundled
from data.importers.exports import EXPORTS, import_exports
from data.importers.official import CellProgress, import_official
from data.importers.pickles import ImportFailed, unpickle
from data.importers.records import SETS

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
