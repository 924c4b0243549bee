"""A pickle read piece by piece: the items of one large dictionary are handed out as each is complete.

Python's own unpickler returns when the whole file is in memory (about 28 GB for NAS-Bench-201's). This one
runs the same machine of stack and memo over a window of the file, for the few instructions that such files
use. It lets an item go once it was handed out; whole learning curves, which are nine tenths of the bytes,
are taken as arrays without making an object for each of their figures.
"""

import io
import struct
from collections.abc import Callable, Iterator, Mapping
from typing import IO, Any, Final

import numpy as np

from nasgauge.data.importers.memo import MARK, Memo
from nasgauge.data.importers.pickles import ImportFailed, permitted
from nasgauge.data.importers.templates import LENGTHS, named, numbered, referred

WINDOW: Final = 1 << 22
_SLACK: Final = 1 << 16  # no instruction but a text is longer than this
ALL: Final = "*"
"""Key of a curve in a dictionary: `*` for epoch -> figure, `x-valid@*` for `x-valid@epoch` -> figure."""

_K, _X, _SHORT_TEXT, _H, _J, _G, _Q, _R, _MEMOIZE = b"KX\x8chjGqr\x94"
_TEXTS, _PUTS = (_X, _SHORT_TEXT), (_R, _Q)
_MARK, _U, _S, _DICT, _STOP = b"(us}."

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
        self._memo = Memo()

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
        except (IndexError, struct.error):
            raise ImportFailed("it ends in the middle, or is no pickle of this kind") from None
        except Exception as error:  # a malformed pickle raises nearly anything
            raise ImportFailed(f"it does not read as a pickle: {type(error).__name__} {error}") from error

    def _run(self, key: str | None) -> Iterator[tuple[Any, Any]]:
        memo = self._memo = Memo()
        pieces, recent, rows = memo.pieces, memo.recent, memo.rows
        stack: list[Any] = []
        outer: list[list[Any]] = []
        watched: dict[Any, Any] | None = None  # the large dictionary
        level: list[Any] | None = None  # the items of it that wait
        while True:
            if len(self._data) - self._at < _SLACK and not self._ended:
                self._fill()
            data, at = self._data, self._at
            code = data[at]  # past the end: IndexError, told above
            self._at = at + 1
            if code == _J:
                place = _U4.unpack_from(data, at + 1)[0]
                if place not in rows or not self._by_reference(stack, place):
                    stack.append(pieces[place] if place in pieces else memo.get(place))
                    self._at = at + 5
            elif code in _PUTS:
                place = _U4.unpack_from(data, at + 1)[0] if code == _R else data[at + 1]
                self._at = at + (5 if code == _R else 2)
                pieces[place] = stack[-1]
                recent.append(place)
            elif code == _K:
                if stack or data[at + 1] or not self._by_epoch(stack):
                    stack.append(data[at + 1])
                    self._at = at + 2
            elif code in _TEXTS:
                if not self._by_text(stack, code):
                    size = self._take(1)[0] if code == _SHORT_TEXT else _U4.unpack(self._take(4))[0]
                    stack.append(self._take(size).decode("utf-8", "surrogatepass"))
            elif code == _G:
                stack.append(_F8.unpack_from(data, at + 1)[0])
                self._at = at + 9
            elif code == _DICT:
                stack.append({})
            elif code == _MEMOIZE:
                memo.put(memo.count, stack[-1])
                memo.count += 1
            elif code == _H:
                stack.append(memo.get(data[at + 1]))
                self._at = at + 2
            elif code == _MARK:
                if watched is None and _is_under(key, stack, outer):
                    watched = stack[-1]
                outer.append(stack)
                new: list[Any] = []
                if watched is not None and stack[-1] is watched:
                    level = new
                stack = new
            elif code == _U:
                items, stack = stack, outer.pop()
                if items is level:
                    yield from self._hand_out(items, 0)
                    level = None
                else:
                    stack[-1].update(zip(items[::2], items[1::2], strict=True))
            elif code == _S:
                value, name = stack.pop(), stack.pop()
                if watched is None and _is_under(key, stack, outer):
                    watched = stack[-1]
                if watched is not None and stack[-1] is watched:
                    yield from self._hand_out([name, value], 0)
                else:
                    stack[-1][name] = value
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
        self._memo.forget()

    def _rare(self, code: bytes, stack: list[Any], outer: list[list[Any]]) -> list[Any]:
        take = self._take
        match code:
            case b"]":
                stack.append([])
            case b"N":
                stack.append(None)
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
                stack.append(permitted(self._allowed, self._line(), self._line()))
            case b"\x93":
                name, module = stack.pop(), stack.pop()
                stack.append(permitted(self._allowed, module, name))
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

    # -- curves

    def _by_epoch(self, stack: list[Any]) -> bool:
        """Take `0: figure, 1: figure, …` at once, if that is what follows."""
        for length in LENGTHS:
            template = numbered(length)
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
        for length in LENGTHS:
            template = named(text[:-2], length, short)
            values = template.read(self._data, self._at - 1)
            if values is None:
                continue
            name = text[:-2].decode()
            if short:
                first = self._memo.count
            else:
                places = template.places(self._data, self._at - 1)
                first = int(places[0])
                if not np.array_equal(places, np.arange(first, first + length)):
                    return False
            self._memo.rows[first] = length, name
            self._memo.count += length
            self._at += template.size - 1
            stack += [f"{name}{MARK}{ALL}", values]
            return True
        return False

    def _by_reference(self, stack: list[Any], first: int) -> bool:
        """Take figures whose texts were memoised in a row before, if that is what follows."""
        length, name = self._memo.rows[first]
        template = referred(length)
        values = template.read(self._data, self._at - 1)
        if values is None:
            return False
        if not np.array_equal(template.places(self._data, self._at - 1), np.arange(first, first + length)):
            return False
        self._at += template.size - 1
        stack += [f"{name}{MARK}{ALL}", values]
        return True


_U2, _U4, _I4, _F8 = (struct.Struct(kind) for kind in ("<H", "<I", "<i", ">d"))


def _is_under(key: str | None, stack: list[Any], outer: list[list[Any]]) -> bool:
    """Whether the dictionary on top of the stack is the value of `key` in the outermost one."""
    return key is not None and len(outer) <= 1 and stack[-2:-1] == [key]
