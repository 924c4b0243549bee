"""The units of a results folder, whether each is in a file of its own or many are packed into one."""

import heapq
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from nasgauge.harness.records.packed import packed_file, packed_headers, unpacked
from nasgauge.harness.records.results import Unit, settings_of, stranger, unit_of
from nasgauge.harness.records.steps import DamagedRecord, Header, Record, read, read_header


def headers_of(folder: Path) -> Iterator[tuple[Path, Header]]:
    """The header of each unit that has a result, and the file in which it is; what is there is checked.

    Raises DamagedRecord.
    """
    if (pack := packed_file(folder)).exists():
        yield from ((pack, header) for header in packed_headers(pack))
    for path in sorted(folder.glob("*.parquet")):
        yield path, read_header(path, partial(_check_name, path))


def records_of(folder: Path) -> tuple[list[Record], list[str]]:
    """All result files of a folder's campaign in order of their names, and a line for each file left out.

    A damaged file is left out, and one of another campaign. Raises OtherCampaign.
    """
    left_out: list[str] = []
    return [record for _, record in each_record(folder, left_out)], left_out


def each_record(folder: Path, left_out: list[str]) -> Iterator[tuple[Path, Record]]:
    """As `records_of`, one file at a time; lines about files left out are appended to `left_out`, last those of runs of a
    smaller budget that were not run again."""
    settings = settings_of(folder)
    made, smaller = dict[tuple[str, str], set[int]](), list[tuple[Unit, str]]()
    for path, record in every_record(folder, left_out):
        header, unit = record.header, unit_of(record.header)
        if why := stranger(header, settings):
            left_out.append(
                f"result file {path} belongs to another campaign ({why}) and is left out; move it elsewhere"
            )
        elif header.budget != settings.budget:
            why = f"a budget of {header.budget} instead of {settings.budget} and is left out"
            again = f"run {unit.searcher} again with seeds {unit.first} to {unit.last}"
            smaller.append((unit, f"result file {path} has {why}; {again}"))
        else:
            made.setdefault(unit.kind, set()).update(unit.seeds)
            yield path, record
    left_out += [text for unit, text in smaller if not made.get(unit.kind, set()).issuperset(unit.seeds)]


def every_record(folder: Path, left_out: list[str]) -> Iterator[tuple[Path, Record]]:
    """The records of all units in order of their names, whether they are packed or not, of any table and budget.

    Lines about damaged files, which are left out, are appended to `left_out`.
    """

    def packed() -> Iterator[tuple[Path, Record]]:
        if (pack := packed_file(folder)).exists():
            try:
                yield from ((pack, record) for record in unpacked(pack))
            except DamagedRecord as error:
                left_out.append(str(error))

    def files() -> Iterator[tuple[Path, Record]]:
        for path in sorted(folder.glob("*.parquet")):
            try:
                yield path, read_unit(path)
            except DamagedRecord as error:
                left_out.append(str(error))

    return heapq.merge(packed(), files(), key=lambda found: unit_of(found[1].header).file)


def read_unit(path: Path) -> Record:
    """Read the result file of a unit, and check that it stands under that unit's name and holds its seeds.

    Raises DamagedRecord.
    """
    record = read(path, partial(_check_name, path))
    (first, last), seeds = record.header.seeds, record.steps.seed
    if seeds.size and not first <= seeds.min() <= seeds.max() <= last:
        raise DamagedRecord(
            f"result file {path} holds other seeds than {first} to {last}; remove it and run the campaign again"
        )
    return record


def _check_name(path: Path, header: Header) -> None:
    own = unit_of(header).file
    if path.name != own:
        raise DamagedRecord(f"result file {path} is a copy of {own}; remove it, or give it that name")
