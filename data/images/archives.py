"""Archives of images from their published addresses, with a progress bar on standard error."""

import tarfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from nasgauge.data.download import DownloadFailed

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

SILENCE: Final = 20.0
"""Seconds without a byte after which a download is given up."""
_CHUNK: Final = 1 << 16  # bytes


def say(text: str) -> None:
    """Print a line on standard error."""
    from rich.console import Console

    Console(stderr=True, highlight=False, soft_wrap=True).print(text, markup=False)


def fetch_archive(address: str, md5: str, folder: Path, *, silence: float = SILENCE) -> None:
    """Download a tar archive, check it and unpack it into `folder`.

    A server that does not answer, or stops sending, is given up after `silence` seconds; a slow one is not.

    Raises DownloadFailed.
    """
    import pooch  # takes a second to import
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    say(f"downloading {address} (given up after {silence:g} s without a byte)")
    pooch.get_logger().setLevel("WARNING")
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TextColumn("left"))
    with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True)) as progress:
        bar = _Bar(progress, progress.add_task(address.rpartition("/")[2], total=None))
        downloader = pooch.HTTPDownloader(progressbar=bar, chunk_size=_CHUNK, timeout=silence)
        try:
            archive = pooch.retrieve(address, f"md5:{md5}", path=folder, downloader=downloader)
        except (OSError, ValueError) as error:  # no connection, silence; a wrong checksum
            raise DownloadFailed(f"{address} cannot be downloaded ({error})") from error
    unpack(Path(archive), folder)


def unpack(archive: Path, folder: Path) -> None:
    """Unpack a tar archive; entries that would leave `folder` are refused."""
    with tarfile.open(archive) as packed:
        packed.extractall(folder, filter="data")


class _Bar:
    """A bar of rich with the methods that pooch calls."""

    def __init__(self, progress: "Progress", task: "TaskID") -> None:
        self.total = 0
        self._progress = progress
        self._task = task

    def update(self, count: int) -> None:
        self._progress.update(self._task, total=self.total or None, advance=count)

    def reset(self) -> None:
        self._progress.update(self._task, completed=0)

    def close(self) -> None:
        """Nothing to do: the display ends with its `with` block."""
