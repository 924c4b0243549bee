"""A pickle read piece by piece: the items of one large dictionary are handed out as each is complete.

Python's own unpickler returns when the whole file is in memory (about 28 GB for NAS-Bench-201's). This one
runs the same machine of stack and memo over a window of the file, for the few instructions that such files
use. It lets an item go once it was handed out; whole learning curves, which are nine tenths of the bytes,
are taken as arrays without making an object for each of their figures.
"""

import io
import struct
from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import IO, Any, Final

import numpy as np
from numpy.typing import NDArray

from data.importers.pickles import ImportFailed

WINDOW: Final = 1 << 22
_SLACK: Final = 1 << 16  # no instruction but a text is longer than this
_LENGTHS: Final = (200, 12)  # epochs of the benchmark's runs
_MARKED: Final = "@"

ALL: Final = "*"
"""Key of a curve in a dictionary: `*` for epoch -> figure, `x-valid@*` for `x-valid@epoch` -> figure."""

_K, _X, _SHORT_TEXT, _H, _J, _G, _Q, _R, _MEMOIZE = b"KX\x8chjGqr\x94"
_TEXTS, _REFERENCES = (_X, _SHORT_TEXT), (_H, _J)
_MARK, _U, _S, _DICT, _LIST, _N, _STOP = b"(us}]N."

Allowed = Mapping[tuple[str, str], Callable[..., Any]]


class PickleStream:
    """One pickle in an open file.

    Figures of epochs 0 to 11 or 0 to 199 in a row come as one array under `ALL`.
    """

    def __init__(self, file: IO[bytes], allowed: Allowed) -> None:
        self._file = file
        self._allowed = allowed
        self._data = b""
        self._at = 0
        self._ended = False
        self._memo: dict[int, Any] = {}
        self._ranges: dict[int, tuple[int, str]] = {}  # first place -> texts `name@0` … memoised in a row
        self._recent: list[int] = []
        self._memoised = 0
        self._names = _Names()

    @classmethod
    def of(cls, data: bytes, allowed: Allowed) -> "PickleStream":
        """A pickle in memory."""
        return cls(io.BytesIO(data), allowed)

    def load(self) -> Any:
        """The next whole object; the memo starts anew.

        Raises ImportFailed.
        """
        values = [value for key, value in self._objects(None)]
        return values[0]

    def items(self, key: str) -> Iterator[tuple[Any, Any]]:
        """The items of the dictionary under `key` of the next object, and last `None` with all else of it.

        Where names are numbers and values are dictionaries under texts, an item comes when the next one
        begins; others come when a thousand are there.

        Raises ImportFailed.
        """
        return self._objects(key)

    # -- bytes

    def _fill(self) -> None:
        more = self._file.read(WINDOW)
        self._ended = len(more) < WINDOW
        self._data = self._data[self._at :] + more
        self._at = 0

    def _take(self, count: int) -> bytes:
        while len(self._data) - self._at < count:
            if self._ended:
                raise ImportFailed("it ends in the middle")
            self._fill()
        start = self._at
        self._at = start + count
        return self._data[start : self._at]

    def _line(self) -> str:
        end = self._data.find(b"\n", self._at)
        if end < 0:
            raise ImportFailed("it ends in the middle of a name")
        line = self._data[self._at : end].decode()
        self._at = end + 1
        return line

    # -- the machine

    def _objects(self, key: str | None) -> Iterator[tuple[Any, Any]]:
        try:
            yield from self._run(key)
        except ImportFailed:
            raise
        except IndexError:
            raise ImportFailed("it ends in the middle, or is no pickle of this kind") from None
        except Exception as error:  # a malformed pickle raises nearly anything
            raise ImportFailed(f"it does not read as a pickle: {type(error).__name__} {error}") from error

    def _run(self, key: str | None) -> Iterator[tuple[Any, Any]]:
        self._memo, self._ranges, self._recent, self._memoised = {}, {}, [], 0
        self._names = _Names()
        stack: list[Any] = []
        outer: list[list[Any]] = []
        watched: dict[Any, Any] | None = None  # the large dictionary
        level: list[Any] | None = None  # the items of it that wait
        take = self._take
        while True:
            if len(self._data) - self._at < _SLACK and not self._ended:
                self._fill()
            code = self._data[self._at]  # past the end: IndexError, told below
            self._at += 1
            if code == _K:
                if not self._by_epoch(stack):
                    stack.append(self._data[self._at])
                    self._at += 1
            elif code in _TEXTS:
                if not self._by_text(stack, code):
                    size = take(1)[0] if code == _SHORT_TEXT else _U4.unpack(take(4))[0]
                    stack.append(take(size).decode("utf-8", "surrogatepass"))
            elif code in _REFERENCES:
                if code == _H or not self._by_reference(stack):
                    stack.append(self._get(take(1)[0] if code == _H else _U4.unpack(take(4))[0]))
            elif code == _G:
                stack.append(_F8.unpack(take(8))[0])
            elif code == _Q:
                self._put(take(1)[0], stack[-1])
            elif code == _R:
                self._put(_U4.unpack(take(4))[0], stack[-1])
            elif code == _MEMOIZE:
                self._put(self._memoised, stack[-1])
            elif code == _MARK:
                if key is not None and watched is None and len(outer) <= 1 and stack[-2:-1] == [key]:
                    watched = stack[-1]
                outer.append(stack)
                new: list[Any] = []
                if watched is not None and outer[-1][-1] is watched:
                    level = new
                stack = new
            elif code == _U:
                items, stack = stack, outer.pop()
                if items is level:
                    yield from self._hand_out(items, 0)
                    level = None
                else:
                    _set_items(stack[-1], items)
            elif code == _S:
                value, name = stack.pop(), stack.pop()
                if key is not None and watched is None and len(outer) <= 1 and stack[-2:-1] == [key]:
                    watched = stack[-1]
                if watched is not None and stack[-1] is watched:
                    yield from self._hand_out([name, value], 0)
                else:
                    stack[-1][name] = value
            elif code == _DICT:
                stack.append({})
            elif code == _LIST:
                stack.append([])
            elif code == _N:
                stack.append(None)
            elif code == _STOP:
                yield None, stack[-1]
                return
            else:
                stack = self._rare(bytes([code]), stack, outer)
            if stack is level and len(stack) > 2 and type(stack[2]) is int and isinstance(stack[1], dict):
                yield from self._hand_out(stack, 1)

    def _hand_out(self, waiting: list[Any], keep: int) -> Iterator[tuple[Any, Any]]:
        """Hand out the complete pairs that wait, and forget what only they referred to."""
        while len(waiting) >= 2 + keep:
            name, value = waiting[:2]
            del waiting[:2]
            yield name, value
            del value
        for place in self._recent:
            value = self._memo[place]
            if isinstance(value, str) and _MARKED not in value:  # a name, which later items may share
                self._names.keep(place, value)
                del self._memo[place]
            elif isinstance(value, (str, dict, list, tuple, set, float)):
                del self._memo[place]
        self._recent.clear()
        self._ranges.clear()

    def _rare(self, code: bytes, stack: list[Any], outer: list[list[Any]]) -> list[Any]:
        take = self._take
        match code:
            case b"M":
                stack.append(_U2.unpack(take(2))[0])
            case b"J":
                stack.append(_I4.unpack(take(4))[0])
            case b"\x8a":
                stack.append(int.from_bytes(take(take(1)[0]), "little", signed=True))
            case b"\x88" | b"\x89":
                stack.append(code == b"\x88")
            case b"C" | b"U":
                stack.append(take(take(1)[0]))
            case b"B" | b"T":
                stack.append(take(_U4.unpack(take(4))[0]))
            case b")":
                stack.append(())
            case b"\x8f":
                stack.append(set())
            case b"\x85" | b"\x86" | b"\x87":
                size = code[0] - 0x84
                stack[-size:] = [tuple(stack[-size:])]
            case b"t":
                items, stack = stack, outer.pop()
                stack.append(tuple(items))
            case b"e":
                items, stack = stack, outer.pop()
                stack[-1].extend(items)
            case b"\x90":
                items, stack = stack, outer.pop()
                stack[-1].update(items)
            case b"a":
                value = stack.pop()
                stack[-1].append(value)
            case b"c":
                stack.append(self._find(self._line(), self._line()))
            case b"\x93":
                name, module = stack.pop(), stack.pop()
                stack.append(self._find(module, name))
            case b"R":
                arguments, function = stack.pop(), stack.pop()
                stack.append(function(*arguments))
            case b"b":
                state = stack.pop()
                if not isinstance(stack[-1], np.dtype) or state[1] not in "<|=":
                    raise ImportFailed("it restores the state of an object, which no such file needs")
            case b"\x80":
                if not 2 <= take(1)[0] <= 5:
                    raise ImportFailed("it is a pickle of a protocol that no such file has")
            case b"\x95":
                take(8)
            case _:
                raise ImportFailed(f"it has the instruction {code!r}, which no such file needs")
        return stack

    def _find(self, module: str, name: str) -> Callable[..., Any]:
        try:
            return self._allowed[module, name]
        except KeyError:
            raise ImportFailed(
                f"it asks for {module}.{name}, which no such file needs; it is not opened"
            ) from None

    # -- memo

    def _put(self, place: int, value: Any) -> None:
        self._memo[place] = value
        self._recent.append(place)
        self._memoised += 1

    def _get(self, place: int) -> Any:
        if place in self._memo:
            return self._memo[place]
        name = self._names.find(place)
        if name is not None:
            self._memo[place] = name  # what is shared once is shared often
            return name
        for first, (count, text) in self._ranges.items():
            if first <= place < first + count:
                return f"{text}{_MARKED}{place - first}"
        raise ImportFailed("it refers to a piece that is not kept; such a file cannot be read in pieces")

    # -- curves

    def _by_epoch(self, stack: list[Any]) -> bool:
        """Take `0: figure, 1: figure, …` at once, if that is what follows."""
        if self._data[self._at : self._at + 1] != b"\x00" or stack:
            return False
        for length in _LENGTHS:
            template = _numbered(length)
            values = template.read(self._data, self._at - 1)
            if values is not None:
                self._at += template.size - 1
                stack += [ALL, values]
                return True
        return False

    def _by_text(self, stack: list[Any], code: int) -> bool:
        """Take `name@0: figure, name@1: figure, …` at once, each text memoised, if that follows."""
        short = code == _SHORT_TEXT
        start = self._at + (1 if short else 4)
        size = self._data[self._at]
        text = self._data[start : start + size]
        if not text.endswith(b"@0"):
            return False
        for length in _LENGTHS:
            template = _named(text[:-2], length, short)
            values = template.read(self._data, self._at - 1)
            if values is None:
                continue
            name = text[:-2].decode()
            if short:
                first = self._memoised
            else:
                places = template.places(self._data, self._at - 1)
                first = int(places[0])
                if not np.array_equal(places, np.arange(first, first + length)):
                    return False
            self._ranges[first] = length, name
            self._memoised += length
            self._at += template.size - 1
            stack += [f"{name}{_MARKED}{ALL}", values]
            return True
        return False

    def _by_reference(self, stack: list[Any]) -> bool:
        """Take figures whose texts were memoised in a row before, if that is what follows."""
        first = _U4.unpack_from(self._data, self._at)[0]
        if first not in self._ranges:
            return False
        length, name = self._ranges[first]
        template = _referred(length)
        values = template.read(self._data, self._at - 1)
        if values is None:
            return False
        if not np.array_equal(template.places(self._data, self._at - 1), np.arange(first, first + length)):
            return False
        self._at += template.size - 1
        stack += [f"{name}{_MARKED}{ALL}", values]
        return True


class _Names:
    """Texts by their place in the memo, in ascending order: 12 bytes for each, and each text once."""

    def __init__(self) -> None:
        self._places = array("Q")
        self._which = array("I")
        self._texts: list[str] = []
        self._known: dict[str, int] = {}

    def keep(self, place: int, text: str) -> None:
        which = self._known.setdefault(text, len(self._texts))
        if which == len(self._texts):
            self._texts.append(text)
        self._places.append(place)
        self._which.append(which)

    def find(self, place: int) -> str | None:
        where = bisect_left(self._places, place)
        if where < len(self._places) and self._places[where] == place:
            return self._texts[self._which[where]]
        return None


_U2, _U4, _I4, _F8 = (struct.Struct(kind) for kind in ("<H", "<I", "<i", ">d"))


class _Template:
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
def _numbered(length: int) -> _Template:
    return _Template([(bytes([ord("K"), epoch, ord("G")]), 0, b"") for epoch in range(length)])


@lru_cache
def _named(name: bytes, length: int, short: bool) -> _Template:
    items = []
    for epoch in range(length):
        text = name + b"@%d" % epoch
        if short:
            items.append((b"\x8c" + bytes([len(text)]) + text + b"\x94G", 0, b""))
        else:
            items.append((b"X" + _U4.pack(len(text)) + text + b"r", 4, b"G"))
    return _Template(items)


@lru_cache
def _referred(length: int) -> _Template:
    return _Template([(b"j", 4, b"G")] * length)


def _set_items(target: Any, items: list[Any]) -> None:
    names = iter(items)
    for name, value in zip(names, names, strict=True):
        target[name] = value
