"""Checksums of contents, which files carry so that damage and changes are noticed when they are read."""

import hashlib
import io
import json
import re
from collections.abc import Iterable, Mapping
from typing import IO, Any, Final

import numpy as np
from numpy.typing import NDArray

KEY: Final = "sha256"
"""Name of the checksum in a JSON file."""
BLANK: Final = "nasgauge-sha256:" + "0" * 64
"""Where the checksum of a binary file will stand, which is that of the file with this in its place."""
_STAMP: Final = re.compile(rb"nasgauge-sha256:[0-9a-f]{64}")
_PART: Final = 2**22  # bytes in memory at once
_LONGEST: Final = 100  # bytes of a text in a name, of which file systems allow 255


def checksum(content: Mapping[str, Any], arrays: Iterable[NDArray[np.generic]] = ()) -> str:
    """SHA-256 of a JSON object, whatever the order of its keys, and of arrays, as hexadecimal digits.

    >>> checksum({"a": 1, "b": 2}) == checksum({"b": 2, "a": 1}) != checksum({"a": 1})
    True
    """
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode())
    for values in arrays:
        digest.update(np.ascontiguousarray(values, values.dtype.newbyteorder("<")).data)
    return digest.hexdigest()


def part_of_name(text: str, *, kept: str, filler: str, usual: str) -> str:
    """A text as a part of a file's name: letters, digits and `kept` stay, anything else becomes `filler`.

    Where more than the `usual` characters are replaced, or the text is cut because it is long, eight digits of its
    checksum follow, so that two texts do not share a name.

    >>> part_of_name("evolution:population=5", kept="=", filler="+", usual=":")
    'evolution+population=5'
    >>> part_of_name("params<=5", kept="=", filler="+", usual=":")
    'params+=5+76539b58'
    """
    plain = "".join(c if c.isalnum() or c in kept else filler for c in text)
    short = plain.encode()[:_LONGEST].decode(errors="ignore")
    if short == plain and all(c.isalnum() or c in kept + filler + usual for c in text):
        return plain
    return f"{short}{filler}{hashlib.sha256(text.encode(errors='surrogatepass')).hexdigest()[:8]}"


def sealed(content: Mapping[str, Any]) -> dict[str, Any]:
    """The object with its checksum."""
    return {**content, KEY: checksum(content)}


def opened(text: bytes, version: int | None = None) -> dict[str, Any]:
    """The object of a sealed JSON text, without its checksum; its `format` must be `version`, if that is given.

    Raises ValueError if it is no such text, or was altered.

    >>> opened(json.dumps(sealed({"a": 1})).encode())
    {'a': 1}
    >>> opened(b'{"a": 2, "sha256": "1"}')
    Traceback (most recent call last):
    ...
    ValueError: it was altered: its content does not fit its sha256
    """
    content = json.loads(text)
    if not isinstance(content, dict) or KEY not in content:
        raise ValueError(f"it is no JSON object with a {KEY}")
    if version is not None and content.get("format") != version:
        raise ValueError(f"it has format {content.get('format')}, this version reads {version}")
    if content.pop(KEY) != checksum(content):
        raise ValueError(f"it was altered: its content does not fit its {KEY}")
    return content


def stamped(content: bytes) -> bytes:
    """The content of a file with its checksum in place of `BLANK`, which it holds once.

    >>> whole = stamped(b"content " + BLANK.encode())
    >>> unaltered(whole) == whole
    True
    >>> unaltered(whole.replace(b"content", b"context"))
    Traceback (most recent call last):
    ...
    ValueError: it was altered: its content does not fit its checksum
    """
    return content.replace(BLANK.encode(), stamp_of(hashlib.sha256(content).hexdigest()).encode())


def stamp_of(digest: str) -> str:
    """What stands in a file in place of `BLANK`."""
    return f"nasgauge-sha256:{digest}"


def unaltered(content: bytes) -> bytes:
    """The content itself, if it is as `stamped` made it.

    Raises ValueError.
    """
    found = _STAMP.search(content)
    if found is None:
        raise ValueError("it has no checksum")
    if checksum_of(io.BytesIO(content), found.end()).encode() != found[0][-64:]:
        raise ValueError("it was altered: its content does not fit its checksum")
    return content


def stamp_in(head: bytes) -> str:
    """The checksum that a file carries in its first bytes; empty if there is none."""
    found = _STAMP.search(head)
    return found[0][-64:].decode() if found else ""


def checksum_of(file: IO[bytes], head: int) -> str:
    """The checksum that an open file should carry somewhere in its first `head` bytes; the rest is read in parts."""
    file.seek(0)
    digest = hashlib.sha256(_STAMP.sub(BLANK.encode(), file.read(head), count=1))
    while part := file.read(_PART):
        digest.update(part)
    return digest.hexdigest()
