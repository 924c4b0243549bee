"""Parquet files in pairs: what a computation gives, and beside it what was measured meanwhile.

    DIR/NAME.parquet             content: rows and a header, the same bytes whenever it is computed again
    DIR/measured/NAME.parquet    measured: rows and a header, such as times, host and versions

The header of each file carries a digest of all that the file says. What was measured can be lost without harm; a file
of it that does not fit its content, because a process was killed between the two, counts as lost.
"""

import hashlib
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from nasgauge.data.atomic import replacing
from nasgauge.spaces.checksums import BLANK, KEY, checksum, stamp_in, stamped, unaltered
from nasgauge.spaces.errors import ELSEWHERE, reason

MEASURED: Final = "measured"
"""Subfolder of what was measured."""
_HEADER: Final = b"nasgauge"
_PARQUET: Final = b"PAR1"  # the first bytes of every parquet file

_BYTES: Final = "bytes"
"""SHA-256 of the bytes of the file of content, in the header of what was measured."""
_DAMAGE: Final = (OSError, KeyError, TypeError, AttributeError, ValueError, pa.ArrowException)
"""What reading a damaged file may raise."""

Columns = Mapping[str, NDArray[np.generic]]


class Damaged(ValueError):
    """A file that is no such file, or was altered; the message says what is wrong and what to do."""


class OtherKind(Damaged):
    """A file that does not say that it is one of these; the message, too, leaves it to its owner."""


@dataclass(frozen=True)
class Texts:
    """A column of texts, as places in a tuple of different texts."""

    places: NDArray[np.int32]
    texts: tuple[str, ...]


@dataclass(frozen=True)
class Sealed:
    """A pair of files."""

    header: Mapping[str, Any]
    columns: Columns
    texts: Mapping[str, Texts] = field(default_factory=dict)
    about: Mapping[str, Any] = field(default_factory=dict)
    """The header of what was measured; empty where that is lost."""
    measured: Columns = field(default_factory=dict)
    lost: str = ""
    """Why the file of what was measured was not used; empty if it was, or if there is none."""

    @property
    def digest(self) -> str:
        """SHA-256 of everything but what was measured, as hexadecimal digits."""
        different = {name: column.texts for name, column in self.texts.items()}
        content = {"header": self.header, "texts": different, "columns": list(self.columns)}
        return checksum(content, (*self.columns.values(), *(column.places for column in self.texts.values())))

    @property
    def measured_digest(self) -> str:
        """SHA-256 of what was measured, and of what it belongs to, as hexadecimal digits."""
        content = {"header": self.about, "of": self.digest, "columns": list(self.measured)}
        return checksum(content, self.measured.values())


def measured_file(path: Path) -> Path:
    """Where what was measured stands, of a file of content."""
    return path.parent / MEASURED / path.name


def write_sealed(path: Path, pair: Sealed) -> None:
    """Write both files, each atomically; what was measured first, so that content that is there has it."""
    columns: dict[str, pa.Array] = {name: pa.array(values) for name, values in pair.columns.items()}
    for name, column in pair.texts.items():
        columns[name] = pa.DictionaryArray.from_arrays(column.places, pa.array(column.texts, pa.string()))
    content = parquet(columns, {**pair.header, "digest": pair.digest})
    about = {**pair.about, "digest": pair.measured_digest, _BYTES: hashlib.sha256(content).hexdigest()}
    measured = {name: pa.array(values) for name, values in pair.measured.items()}
    for place, text in ((measured_file(path), parquet(measured, about)), (path, content)):
        with replacing(place) as file:
            file.write(text)


def quick_header(path: Path, version: int) -> Mapping[str, Any] | None:
    """The header of a file of content that is whole; None if that cannot be said without reading all of it.

    What was measured holds a checksum of the bytes of the file of content.
    """
    try:
        content = path.read_bytes()
        about = json.loads(pq.read_schema(measured_file(path)).metadata[_HEADER])
        if about[_BYTES] != hashlib.sha256(content).hexdigest():
            return None
        header: dict[str, Any] = json.loads(pq.read_schema(pa.BufferReader(content)).metadata[_HEADER])
    except _DAMAGE:
        return None
    return header if header.pop("digest", "") and header.get("format") == version else None


def read_sealed(path: Path, version: int, remedy: str) -> Sealed:
    """Read the file of content and verify its digest, and that its header's `format` is `version`.

    Raises Damaged, whose message ends with `remedy`.
    """
    table, header, digest = _read(path, remedy)
    if header.get("format") != version:
        raise Damaged(f"{path} has format {header.get('format')}, this version reads {version}; {remedy}")
    encoded = [name for name in table.column_names if pa.types.is_dictionary(table[name].type)]
    chunks = {name: table[name].combine_chunks() for name in encoded}
    pair = Sealed(
        header,
        {name: table[name].to_numpy() for name in table.column_names if name not in encoded},
        {
            name: Texts(np.asarray(chunk.indices, dtype=np.int32), tuple(chunk.dictionary.to_pylist()))
            for name, chunk in chunks.items()
        },
    )
    if pair.digest != digest:
        raise Damaged(f"{path} was altered (its content does not fit its digest); {remedy}")
    return pair


def with_measured(path: Path, pair: Sealed) -> Sealed:
    """The pair with what was measured; where that file is damaged or of another content, with the reason in `lost`."""
    beside = measured_file(path)
    if not beside.exists():
        return pair
    harmless = "remove it: only measured times are lost"
    try:
        # nobody else has a file of that name
        table, about, digest = _read(beside, harmless, foreign=harmless)
        measured = {name: table[name].to_numpy() for name in table.column_names}
    except Damaged as error:
        return replace(pair, lost=str(error))
    whole = replace(pair, about=about, measured=measured)
    if whole.measured_digest != digest:
        return replace(pair, lost=f"{beside} was altered, or is that of another file; {harmless}")
    return whole


def write_table(path: Path, table: pa.Table, key: bytes, about: Mapping[str, Any]) -> None:
    """Write a parquet file of its own, with a header as JSON under `key`, atomically and with a checksum."""
    header = json.dumps({**about, KEY: BLANK}).encode()
    file = io.BytesIO()
    pq.write_table(table.replace_schema_metadata({key: header}), file, compression="zstd")
    with replacing(path) as opened:
        opened.write(stamped(file.getvalue()))


def read_table(path: Path, key: bytes) -> tuple[pa.Table, dict[str, Any]]:
    """Read a file of `write_table`, and its header.

    Raises Damaged, whose message says what is wrong with the file; OtherKind where it is another one.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_table(Path(folder) / "a.parquet", pa.table({"x": [1]}), b"example", {"seed": 1})
    ...     table, about = read_table(Path(folder) / "a.parquet", b"example")
    >>> table["x"].to_pylist(), about
    ([1], {'seed': 1})
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise OtherKind(reason(error)) from error
    try:
        table = pq.ParquetFile(io.BytesIO(unaltered(content))).read(use_threads=False)
        about = json.loads(table.schema.metadata[key])
        del about[KEY]
    except KeyError:
        raise OtherKind("it holds something else") from None
    except _DAMAGE as error:
        raise (Damaged if stamp_in(content) else OtherKind)(reason(error)) from error
    return table, about


def parquet(columns: Mapping[str, pa.Array], header: Mapping[str, Any]) -> bytes:
    """The bytes of a parquet file, with a header as JSON."""
    table = pa.table(columns).replace_schema_metadata({_HEADER: json.dumps(header).encode()})
    file = io.BytesIO()
    pq.write_table(table, file, compression="zstd")
    return file.getvalue()


def _read(path: Path, remedy: str, foreign: str = ELSEWHERE) -> tuple[pa.Table, dict[str, Any], str]:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise OtherKind(f"{path} cannot be read ({reason(error)}); give another path") from error
    try:
        table = pq.ParquetFile(io.BytesIO(content)).read(use_threads=False)
        if _HEADER not in (table.schema.metadata or {}):
            raise OtherKind(f"{path} is a file of another kind; {foreign}")
        header = json.loads(table.schema.metadata[_HEADER])
        header.pop(_BYTES, None)
        return table, header, header.pop("digest")
    except OtherKind:
        raise
    except _DAMAGE as error:
        if content and not content.startswith(_PARQUET):
            raise OtherKind(f"{path} is no parquet file; {foreign}") from error
        raise Damaged(f"{path} is damaged ({reason(error)}); {remedy}") from error
