"""Whole learning curves in the bytes of a pickle, recognised and taken at once."""

import struct
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

LENGTHS: Final = (200, 12)
"""Epochs of the benchmark's runs."""

_U4: Final = struct.Struct("<I")


class Template:
    """The bytes of a whole curve, some of them fixed, some holding a figure or a place in the memo."""

    def __init__(self, items: list[tuple[bytes, int, bytes]]) -> None:
        fixed, figures, places = bytearray(), [], []
        known: list[int] = []
        for head, memo, tail in items:
            known += range(len(fixed), len(fixed) + len(head))
            fixed += head
            if memo:
                places.append(range(len(fixed), len(fixed) + 4))
                fixed += bytes(4)
            known += range(len(fixed), len(fixed) + len(tail))
            fixed += tail
            figures.append(range(len(fixed), len(fixed) + 8))
            fixed += bytes(8)
        self.size = len(fixed)
        self._fixed = np.frombuffer(bytes(fixed), np.uint8)
        self._mask = np.zeros(self.size, np.uint8)
        self._mask[known] = 255
        self._last = known[-1], fixed[known[-1]]
        self._figures = np.array([list(where) for where in figures])
        self._places = np.array([list(where) for where in places])

    def read(self, data: bytes, start: int) -> NDArray[np.float64] | None:
        """The figures, if the bytes from `start` are of this form."""
        place, byte = self._last
        if len(data) - start < self.size or data[start + place] != byte:
            return None
        found = np.frombuffer(data, np.uint8, self.size, start)
        if ((found ^ self._fixed) & self._mask).any():
            return None
        figures: NDArray[np.float64] = found.take(self._figures).view(">f8")[:, 0].astype(np.float64)
        return figures

    def places(self, data: bytes, start: int) -> NDArray[np.uint32]:
        """The places in the memo."""
        found = np.frombuffer(data, np.uint8, self.size, start)
        places: NDArray[np.uint32] = found.take(self._places).view("<u4")[:, 0]
        return places


@lru_cache
def numbered(length: int) -> Template:
    """`0: figure, 1: figure, …`."""
    return Template([(bytes([ord("K"), epoch, ord("G")]), 0, b"") for epoch in range(length)])


@lru_cache
def named(name: bytes, length: int, short: bool) -> Template:
    """`name@0: figure, name@1: figure, …`, each text memoised; `short`: as protocol 4 writes texts."""
    items = []
    for epoch in range(length):
        text = name + b"@%d" % epoch
        if short:
            items.append((b"\x8c" + bytes([len(text)]) + text + b"\x94G", 0, b""))
        else:
            items.append((b"X" + _U4.pack(len(text)) + text + b"r", 4, b"G"))
    return Template(items)


@lru_cache
def referred(length: int) -> Template:
    """Figures under texts that were memoised before."""
    return Template([(b"j", 4, b"G")] * length)
