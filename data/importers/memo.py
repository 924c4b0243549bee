"""The memo of a pickle that is read in pieces: it keeps what later pieces may refer to, and no more."""

from array import array
from bisect import bisect_left
from typing import Any

from nasgauge.data.importers.pickles import ImportFailed

MARK = "@"
"""What the text of a figure's epoch has and a name has not."""


class Memo:
    """Pieces by their place.

    Names stay, 12 bytes for each place; containers, figures and texts of epochs go at the end of an item.
    """

    def __init__(self) -> None:
        self.pieces: dict[int, Any] = {}
        self.rows: dict[int, tuple[int, str]] = {}
        """First place -> number of texts `name@0` … that were memoised in a row, and the name."""
        self.recent: list[int] = []
        """Places since the last item."""
        self.count = 0
        """Pieces memoised without a place of their own."""
        self._places = array("Q")  # of names, ascending
        self._which = array("I")
        self._names: list[str] = []
        self._known: dict[str, int] = {}

    def put(self, place: int, value: Any) -> None:
        """Keep a piece until the item ends."""
        self.pieces[place] = value
        self.recent.append(place)

    def get(self, place: int) -> Any:
        """The piece at a place.

        Raises ImportFailed if it is not kept.
        """
        if place in self.pieces:
            return self.pieces[place]
        where = bisect_left(self._places, place)
        if where < len(self._places) and self._places[where] == place:
            name = self.pieces[place] = self._names[self._which[where]]  # what is shared once is shared often
            return name
        for first, (count, text) in self.rows.items():
            if first <= place < first + count:
                return f"{text}{MARK}{place - first}"
        raise ImportFailed("it refers to a piece that is not kept; such a file cannot be read in pieces")

    def forget(self) -> None:
        """End an item."""
        for place in self.recent:
            value = self.pieces[place]
            if isinstance(value, str) and MARK not in value:
                which = self._known.setdefault(value, len(self._names))
                if which == len(self._names):
                    self._names.append(value)
                self._places.append(place)
                self._which.append(which)
                del self.pieces[place]
            elif isinstance(value, (str, dict, list, tuple, set, float)):
                del self.pieces[place]
        self.recent.clear()
        self.rows.clear()
