"""Put the result files of a folder into one."""

from collections.abc import Iterator
from pathlib import Path

from nasgauge.harness.records.folders import each_record
from nasgauge.harness.records.lock import locked
from nasgauge.harness.records.packed import PACKED, pack, packed_file
from nasgauge.harness.records.results import settings_of
from nasgauge.harness.records.steps import DamagedRecord, Record
from nasgauge.harness.records.todo import remove, superseded


def pack_folder(folder: Path) -> int:
    """Put all result files of a folder into `DIR/packed`, beside what was packed before; returns how many units it has.

    A file is removed once the packed one is whole and on disk. Nothing is packed where a file is damaged or
    belongs to another campaign. A file whose runs are all in another one is removed; a run that still is in two files is
    packed twice, and counted once.

    Raises OtherCampaign, FolderInUse, DamagedRecord.
    """
    settings = settings_of(folder)
    with locked(folder):
        for path in superseded(folder, settings.budget):
            remove(path)
        problems: list[str] = []
        files: list[Path] = []

        def records() -> Iterator[Record]:
            for path, record in each_record(folder, problems):
                if problems:
                    raise DamagedRecord(problems[0])
                if path.parent.name != PACKED:
                    files.append(path)
                yield record
            if problems:
                raise DamagedRecord(problems[0])

        count = pack(packed_file(folder), records())
        for path in files:
            remove(path)
        return count
