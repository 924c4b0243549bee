"""Tables of accuracies, images, and where both come from."""

from typing import Final

DEFAULT_TABLE: Final = "nb201"
"""Name of the table that is used where none is given."""
