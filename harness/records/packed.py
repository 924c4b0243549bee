"""Many result files in one: `DIR/packed/results.parquet`, a table of all queries, and what was measured beside it.

    SELECT searcher, dataset, avg(test) FROM 'DIR/packed/results.parquet' WHERE query = 200 GROUP BY ALL   -- DuckDB

Its columns are those of `Steps`, with `searcher` and `dataset`; `cell` is the text of a cell. The rows of a unit
stand together, in the order of units, and are checked against the digest of the file that they come from. The
header lists the units.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from nasgauge.data.atomic import replacing
from nasgauge.data.sealed import measured_file
from nasgauge.harness.records.steps import COLUMNS, DamagedRecord, Header, Record, Steps, digest_of
from nasgauge.spaces.errors import reason

PACKED: Final = "packed"
FILE: Final = "results.parquet"
FORMAT: Final = 1
_GROUP: Final = 100_000
"""Rows of a group, about: what is in memory at once."""
_HEADER: Final = b"nasgauge-packed"
_BYTES: Final = "bytes"
"""SHA-256 of the bytes of the file of results, in the header of what was measured."""
_DAMAGE: Final = (OSError, KeyError, TypeError, AttributeError, ValueError, pa.ArrowException)
"""What reading a damaged file may raise."""
_REMEDY: Final = "remove it and run the campaign again, which makes what is missing"


def packed_file(folder: Path) -> Path:
    """Where the packed file of a results folder is, or would be."""
    return folder / PACKED / FILE


def pack(path: Path, records: Iterable[Record]) -> int:
    """Write records into one file, and what was measured into another, both as a whole; returns how many.

    The records are taken one after another, and a part of them is in memory at once.
    """
    units, abouts, count = [], [], 0
    beside = measured_file(path)
    with replacing(path) as content, replacing(beside) as measured:  # which is renamed first
        writers: list[pq.ParquetWriter] = []
        waiting: list[tuple[pa.Table, pa.Table]] = []

        def flush() -> None:
            for place, file in enumerate((content, measured)):
                table = pa.concat_tables([tables[place] for tables in waiting]).unify_dictionaries()
                if len(writers) <= place:
                    writers.append(pq.ParquetWriter(file, table.schema, compression="zstd"))
                writers[place].write_table(table, row_group_size=len(table) or 1)
            waiting.clear()

        for record in records:
            header, steps = record.header, record.steps
            units.append(
                {**header.model_dump(mode="json", exclude=set(Header.ABOUT)), "rows": len(steps.seed)}
            )
            abouts.append(header.model_dump(mode="json", include=set(Header.ABOUT)))
            waiting.append(_tables(header, steps))
            count += 1
            if sum(len(table) for table, _ in waiting) >= _GROUP:
                flush()
        if waiting or not writers:
            flush()
        writers[0].add_key_value_metadata({_HEADER: json.dumps({"format": FORMAT, "units": units})})
        writers[0].close()
        content.flush()
        about = {"format": FORMAT, "units": abouts, _BYTES: _sha256(Path(content.name))}
        writers[1].add_key_value_metadata({_HEADER: json.dumps(about)})
        writers[1].close()
    return count


def packed_headers(path: Path) -> list[Header]:
    """The headers of a packed file, after a check of its bytes.

    Raises DamagedRecord.
    """
    try:
        known = _content(pq.ParquetFile(measured_file(path)))[_BYTES]
    except _DAMAGE:  # lost, with what was measured
        known = ""
    if known != _sha256(path):
        return [record.header for record in unpacked(path)]
    return [header for header, _ in _listed(path)[0]]


def unpacked(path: Path) -> Iterator[Record]:
    """The records of a packed file, in its order; each is checked against its digest.

    What was measured counts as lost where its file is damaged or belongs to another one.

    Raises DamagedRecord.
    """
    listed, file = _listed(path)
    rows, beside = _Rows(file), _Beside(path, [header for header, _ in listed])
    for place, (_, count) in enumerate(listed):
        try:
            found = rows.take(count)
            header, timed = beside.take(place, count)
            steps = _steps(header, found, timed)
        except _DAMAGE as error:
            raise DamagedRecord(f"packed file {path} is damaged ({reason(error)[:80]}); {_REMEDY}") from error
        if digest_of(header, steps) != header.digest:
            raise DamagedRecord(f"packed file {path} was altered (see {header.searcher}); {_REMEDY}")
        yield Record(header, steps, beside.lost)


def _tables(header: Header, steps: Steps) -> tuple[pa.Table, pa.Table]:
    count = len(steps.seed)
    who = {
        name: pa.DictionaryArray.from_arrays(
            pa.array(np.zeros(count, np.int32)), pa.array([text], pa.string())
        )
        for name, text in (("searcher", header.searcher), ("dataset", header.dataset))
    }
    cell = pa.DictionaryArray.from_arrays(pa.array(steps.cell), pa.array(steps.cells, pa.string()))
    columns = {name: pa.array(getattr(steps, name)) for name in (*COLUMNS, "fidelity")}
    kept = {name: values for name, values in columns.items() if name not in header.timed}
    where = {name: columns[name] for name in ("seed", "query")}
    timed = {name: columns[name] for name in header.timed}
    return pa.table({**who, **kept, "cell": cell}), pa.table({**who, **where, **timed})


class _Rows:
    """Rows of a file, handed out from its beginning; a group of them is in memory at once."""

    def __init__(self, file: pq.ParquetFile) -> None:
        self._groups = (file.read_row_group(number) for number in range(file.num_row_groups))
        self._table: pa.Table | None = None
        self._place = 0

    def take(self, count: int) -> Mapping[str, Any]:
        if self._table is None or self._place + count > len(self._table) or not count:
            if count:
                self._table, self._place = next(self._groups, None), 0
            elif self._table is None:
                self._table = next(self._groups, None)
        if self._table is None:
            raise ValueError("rows are missing")
        part = self._table.slice(self._place, count)
        self._place += count
        return {name: part[name].combine_chunks() for name in part.column_names}


class _Beside:
    """What was measured with the units of a packed file, handed out in their order; nothing once it is found to be lost."""

    def __init__(self, path: Path, headers: list[Header]) -> None:
        self._path, self.lost = measured_file(path), ""
        self._headers, self._whole = headers, headers
        self._rows: _Rows | None = None
        if not self._path.exists():
            return
        try:
            file = pq.ParquetFile(self._path)
            if _content(file)[_BYTES] != _sha256(path):
                raise ValueError("it is that of another file")
            pairs = zip(headers, _units(file), strict=True)
            self._whole = [Header.model_validate({**header.model_dump(), **about}) for header, about in pairs]
            self._rows = _Rows(file)
        except _DAMAGE as error:
            self._lose(error)

    def take(self, place: int, count: int) -> tuple[Header, Mapping[str, Any]]:
        """The header of a unit with what was measured, and the measured columns of its rows."""
        try:
            timed = self._rows.take(count) if self._rows else {}
            header = self._whole[place]
            return header, {name: timed[name].to_numpy() for name in header.timed if name in timed}
        except _DAMAGE as error:
            self._lose(error)
            return self._headers[place], {}

    def _lose(self, error: Exception) -> None:
        self._whole, self._rows = self._headers, None
        why = f"{self._path} is damaged or of another file ({reason(error)[:80]})"
        self.lost = f"{why}; remove it: only measured times are lost"


def _steps(header: Header, found: Mapping[str, Any], timed: Mapping[str, Any]) -> Steps:
    codes: NDArray[np.int32] = np.asarray(found["cell"].indices, dtype=np.int32)
    different, first, inverse = np.unique(codes, return_index=True, return_inverse=True)
    order = np.argsort(first)  # cells are numbered as they first occur
    texts = found["cell"].dictionary.take(pa.array(different[order])).to_pylist()
    unknown = np.full(len(codes), np.nan)
    names = (*COLUMNS, "fidelity")
    columns: dict[str, Any] = {"fidelity": np.zeros(len(codes), np.int32)} | {
        name: values.to_numpy(zero_copy_only=False) for name, values in found.items() if name in names
    }
    columns |= {name: timed.get(name, unknown) for name in header.timed}
    return Steps(
        cell=np.argsort(order).astype(np.int32)[inverse],
        cells=tuple(texts),
        **{name: columns[name] for name in names},
    )


def _listed(path: Path) -> tuple[list[tuple[Header, int]], pq.ParquetFile]:
    try:
        file = pq.ParquetFile(path)
        units = _units(file)
        listed = []
        for unit in units:
            rows = unit.pop("rows")
            listed.append((Header.model_validate(unit), rows))
    except _DAMAGE as error:
        raise DamagedRecord(f"packed file {path} is damaged ({reason(error)[:80]}); {_REMEDY}") from error
    return listed, file


def _units(file: pq.ParquetFile) -> list[dict[str, Any]]:
    units: list[dict[str, Any]] = _content(file)["units"]
    return units


def _content(file: pq.ParquetFile) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(file.metadata.metadata[_HEADER])
    if content["format"] != FORMAT:
        raise ValueError(f"it has format {content['format']}, this version reads {FORMAT}")
    return content


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
