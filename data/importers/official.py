"""The official NAS-Bench-201 and NATS-Bench files to a table, and to learning curves, cell by cell.

Three forms hold the same records: `NAS-Bench-201-v1_*.pth` (one pickle after three small ones, as torch
wrote before its version 1.6), a folder `NATS-tss-v1_0-*-simple` (a file for each cell), and
`NATS-tss-v1_0-*.pickle.pbz2` (one file). A record is, for the runs of 12 and of 200 epochs, a state with
a trial for each (dataset, seed).
"""

import bz2
import hashlib
import os
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import numpy as np

from nasgauge.data.atomic import replacing
from nasgauge.data.importers.pickles import ImportFailed
from nasgauge.data.importers.records import FORMS, Figures
from nasgauge.data.importers.stream import Allowed, PickleStream
from nasgauge.data.published import sha256
from nasgauge.data.tables import AccuracyTable
from nasgauge.spaces.cells import N_CELLS, Cell, InvalidCell

CellProgress = Callable[[int, int], None]
"""Called with the number of cells that are done, and of all."""

_TORCH_MAGIC: Final = 0x1950A86A20F9469CFC6C
_TORCH_PROTOCOL: Final = 1001
_AHEAD: Final = 2 * (os.cpu_count() or 1)


def _number(kind: np.dtype[Any], data: bytes) -> float:
    return float(np.frombuffer(data, kind)[0])


def _encoded(text: str, encoding: str) -> bytes:
    return text.encode(encoding)


def _kind(text: str, *_: object) -> np.dtype[Any]:
    if text not in ("f4", "f8", "i4", "i8"):
        raise ImportFailed(f"it holds figures of kind {text!r}, which no such file needs")
    return np.dtype(f"<{text}")


ALLOWED: Final[Allowed] = MappingProxyType(
    {
        ("collections", "OrderedDict"): OrderedDict,
        ("builtins", "set"): set,
        ("__builtin__", "set"): set,
        ("numpy.core.multiarray", "scalar"): _number,
        ("numpy._core.multiarray", "scalar"): _number,
        ("numpy", "dtype"): _kind,
        ("_codecs", "encode"): _encoded,
    }
)
"""All that an official file names, and what stands for it here."""


def import_official(
    path: Path,
    *,
    name: str,
    curves: Path | None = None,
    partial: bool = False,
    progress: CellProgress = lambda _done, _total: None,
) -> AccuracyTable:
    """A table from any of the three forms; learning curves go to the file `curves`.

    Memory holds the table and one record at a time. With `partial`, cells that the file lacks are NaN;
    otherwise it must have all 15,625.

    Raises ImportFailed.
    """
    try:
        if curves is None:
            return _import(path, name, Figures(None), partial, progress)
        with replacing(curves) as file:
            return _import(path, name, Figures(file), partial, progress)
    except ImportFailed as error:
        raise ImportFailed(f"{path}: {error}") from error
    except (KeyError, TypeError, AttributeError, IndexError, ValueError) as error:
        raise ImportFailed(f"{path} is not an official file: {type(error).__name__} {error}") from error


def _import(path: Path, name: str, figures: Figures, partial: bool, progress: CellProgress) -> AccuracyTable:
    with ThreadPoolExecutor(1) as pool:  # hashing works without Python's lock
        checksum = pool.submit(_checksum, path)
        ranks = _gather(path, figures, partial, progress)
    official = np.empty(N_CELLS, dtype=np.int32)
    official[ranks] = np.arange(N_CELLS)
    return figures.table(name, checksum.result(), official)


def _gather(path: Path, figures: Figures, partial: bool, progress: CellProgress) -> list[int]:
    ranks: list[int] = []
    seen: list[tuple[int, int]] = []
    for done, (index, states) in enumerate(
        _records(path, lambda texts: ranks.extend(_ranks(texts)), partial), 1
    ):
        rank = Cell.parse(next(iter(states.values()))["arch_str"]).rank
        figures.add(rank, states)
        seen.append((index, rank))
        progress(done, N_CELLS)
    if not ranks:
        raise ImportFailed("it has no list of cells, meta_archs")
    for index, rank in seen:  # a .pth gives its list after its records
        if not 0 <= index < N_CELLS or ranks[index] != rank:
            raise ImportFailed(f"its record {index} is not of the cell that its list has at {index}")
    if len(figures.ranks) < N_CELLS and not partial:
        raise ImportFailed(
            f"it lacks {N_CELLS - len(figures.ranks)} of {N_CELLS} cells; to import it as it is, add --partial"
        )
    return ranks


def _records(
    path: Path, learn: Callable[[list[str]], None], partial: bool
) -> Iterator[tuple[int, Mapping[str, Any]]]:
    if path.is_dir():
        yield from _folder(path, learn, partial)
        return
    if not path.is_file():
        raise ImportFailed("there is no such file or folder")
    try:
        with path.open("rb") as file:
            if file.read(2) == b"PK":
                raise ImportFailed("it was saved by a newer torch; the published file has the older form")
            file.seek(0)
            if path.suffix == ".pbz2":
                with bz2.open(file) as unpacked:
                    yield from _one_file(PickleStream(unpacked, ALLOWED), learn)
            else:
                stream = PickleStream(file, ALLOWED)
                if stream.load() != _TORCH_MAGIC or stream.load() != _TORCH_PROTOCOL:
                    raise ImportFailed("it was not written by torch")
                stream.load()
                yield from _one_file(stream, learn)
    except (OSError, EOFError) as error:
        raise ImportFailed(f"it is damaged: {error}") from error


def _one_file(
    stream: PickleStream, learn: Callable[[list[str]], None]
) -> Iterator[tuple[int, Mapping[str, Any]]]:
    for index, record in stream.items("arch2infos"):
        if index is None:  # what is not a record comes last
            learn(record["meta_archs"])
        else:
            yield index, {FORMS[key]: state for key, state in record.items()}


def _folder(
    path: Path, learn: Callable[[list[str]], None], partial: bool
) -> Iterator[tuple[int, Mapping[str, Any]]]:
    texts = _unpacked(path / "meta.pickle.pbz2")["meta_archs"]
    learn(texts)
    present = []
    for index in range(len(texts)):
        names = [path / f"{index:06d}.pickle.pbz2", path / f"{index}.pickle.pbz2"]
        found = [file for file in dict.fromkeys(names) if file.is_file()]
        if len(found) > 1 and sha256(found[0]) != sha256(found[1]):
            raise ImportFailed(f"{found[0].name} and {found[1].name} disagree; remove one")
        if found:
            present.append((index, found[0]))
    if len(present) < len(texts) and not partial:
        raise ImportFailed(
            f"it lacks {len(texts) - len(present)} of {len(texts)} cells; to import it as it is, add --partial"
        )
    # bz2 works without Python's lock, so files are unpacked ahead in threads
    with ThreadPoolExecutor(_AHEAD) as pool:
        waiting = iter(present)
        ahead = [(item, pool.submit(_decompressed, item[1])) for item in islice(waiting, _AHEAD)]
        while ahead:
            (index, file), future = ahead.pop(0)
            data = future.result()
            for item in islice(waiting, 1):
                ahead.append((item, pool.submit(_decompressed, item[1])))
            yield index, {FORMS[key]: state for key, state in _loaded(data, file).items()}


def _decompressed(file: Path) -> bytes:
    try:
        return bz2.decompress(file.read_bytes())
    except (OSError, ValueError) as error:
        raise ImportFailed(f"{file.name} is damaged: {error}") from error


def _unpacked(file: Path) -> Any:
    if not file.is_file():
        raise ImportFailed(f"it has no {file.name}; give a folder NATS-tss-v1_0-*-simple")
    return _loaded(_decompressed(file), file)


def _loaded(data: bytes, file: Path) -> Any:
    try:
        return PickleStream.of(data, ALLOWED).load()
    except ImportFailed as error:
        raise ImportFailed(f"{file.name}: {error}") from error


def _ranks(texts: list[str]) -> list[int]:
    try:
        ranks = [Cell.parse(text).rank for text in texts]
    except InvalidCell as error:
        raise ImportFailed(f"its list of cells is not of NAS-Bench-201: {error}") from error
    if sorted(ranks) != list(range(N_CELLS)):
        raise ImportFailed(f"its list of cells has {len(set(ranks))} different ones of {N_CELLS}")
    return ranks


def _checksum(path: Path) -> str:
    if path.is_file():
        return sha256(path)
    digest = hashlib.sha256()
    for file in sorted(path.glob("*.pickle.pbz2")):
        digest.update(f"{file.name} {sha256(file)}\n".encode())
    return digest.hexdigest()
