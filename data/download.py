"""Downloads that resume, are checked against a checksum, and appear complete or not at all.

A file is written under a partial name in its folder, so that a broken transfer resumes where it stopped, and
is renamed when its checksum is right.
"""

import http.client
import os
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Final

from nasgauge.spaces.errors import NasgaugeError

MIRROR_VARIABLE: Final = "NASGAUGE_MIRROR"
PARTIAL: Final = ".partial"
CHUNK: Final = 1 << 16
LONGEST: Final = 86_400.0
"""The longest timeout, in seconds."""

Progress = Callable[[int], None]
"""Called with the number of bytes received."""


class DownloadFailed(NasgaugeError, OSError):
    """A file that could not be downloaded; nothing is left under its name."""


class _Resuming:
    """A pooch downloader that requests the missing rest of a partial file."""

    def __init__(self, partial: Path, size: int, timeout: float, progress: Progress) -> None:
        self._partial = partial
        self._size = size
        self._timeout = timeout
        self._progress = progress

    def __call__(self, url: str, output_file: object, _pooch: object) -> None:
        have = self._partial.stat().st_size if self._partial.is_file() else 0
        if have >= self._size:
            self._partial.unlink()
            have = 0
        headers = {"User-Agent": "nasgauge"} | ({"Range": f"bytes={have}-"} if have else {})
        try:
            request = urllib.request.Request(url, headers=headers)
        except ValueError as error:
            raise DownloadFailed(f"{url} is no address; give a mirror such as https://host/folder") from error
        with urllib.request.urlopen(request, timeout=self._timeout) as answer:
            if have and answer.status != http.HTTPStatus.PARTIAL_CONTENT:
                have = 0  # the server sends the whole file
            with self._partial.open("ab" if have else "wb") as file:
                self._progress(have)
                while chunk := answer.read(CHUNK):
                    file.write(chunk)
                    self._progress(len(chunk))
        if self._partial.stat().st_size < self._size:
            raise http.client.IncompleteRead(b"", self._size - self._partial.stat().st_size)
        Path(str(output_file)).write_bytes(self._partial.read_bytes())
        self._partial.unlink()


def download(
    address: str,
    path: Path,
    *,
    size: int,
    sha256: str,
    retries: int = 3,
    timeout: float = 20.0,
    pause: float = 1.0,
    progress: Progress = lambda _count: None,
) -> None:
    """Bring the file at `address` to `path`; nothing is asked for if it is there already.

    A broken or silent transfer (`timeout` seconds without a byte) is taken up again, up to `retries`
    times, after a `pause` of seconds that doubles each time.

    Raises DownloadFailed.
    """
    if not 0 < timeout <= LONGEST:
        raise DownloadFailed(f"a timeout of {timeout:g} s is none; give a number up to {LONGEST:g}")
    import pooch  # slow, and in a notebook without ipywidgets it warns when it is imported

    pooch.get_logger().setLevel("WARNING")  # we report progress
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + PARTIAL)
    downloader = _Resuming(partial, size, timeout, progress)
    for attempt in range(retries + 1):
        try:
            pooch.retrieve(address, f"sha256:{sha256}", path.name, path.parent, downloader=downloader)
            return
        except DownloadFailed:
            raise
        except ValueError as error:  # how pooch reports a wrong checksum
            partial.unlink(missing_ok=True)
            raise DownloadFailed(
                f"{address} does not have the sha256 {sha256[:12]}… that it was published with; "
                f"give another mirror with --mirror or {MIRROR_VARIABLE}"
            ) from error
        except urllib.error.HTTPError as error:
            error.close()
            if error.code < 500:
                raise DownloadFailed(
                    f"{address} answers {error.code} {error.reason}; give another mirror with --mirror or "
                    f"{MIRROR_VARIABLE}, or a folder with --from"
                ) from error
            why: Exception = error
        except (OSError, http.client.HTTPException) as error:
            why = error
        if attempt < retries:
            time.sleep(pause * 2**attempt)
    raise DownloadFailed(
        f"{address} could not be downloaded in {retries + 1} attempts ({_reason(why)}); run the command again to "
        f"resume, or give another mirror with --mirror or {MIRROR_VARIABLE}, or a folder with --from"
    ) from why


def mirrored(address: str, name: str, mirror: str | None) -> str:
    """`name` in the folder `mirror`, or where the environment variable says, or else `address`.

    >>> mirrored("https://example.org/a/b.csv", "b.csv", "https://mirror.example.org/nb201/")
    'https://mirror.example.org/nb201/b.csv'
    """
    folder = mirror or os.environ.get(MIRROR_VARIABLE)
    return f"{folder.rstrip('/')}/{name}" if folder else address


def _reason(error: Exception) -> str:
    return str(error) or type(error).__name__
