"""Tables of numbers as files, each of which appears whole or not at all, and the list of a report's files."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import pandas as pd

from nasgauge.data.atomic import replacing
from nasgauge.spaces.errors import NasgaugeError

MADE: Final = "made.json"
"""The list of a report's files, in its folder."""
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


class NotOurFolder(NasgaugeError, ValueError):
    """A report's folder that is a file, or a symbolic link to somewhere else."""


def save_csv(path: Path, numbers: pd.DataFrame) -> None:
    """Six significant digits, no index. Texts that a spreadsheet would compute begin with an apostrophe."""
    safe = numbers.rename(columns=_quoted)
    for place, (name, column) in enumerate(numbers.items()):
        if not pd.api.types.is_numeric_dtype(column):
            safe[safe.columns[place]] = numbers[name].map(_quoted)
    save_text(path, safe.to_csv(index=False, float_format="%.6g"))


def _quoted(value: object) -> object:
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


def save_parquet(path: Path, numbers: pd.DataFrame) -> None:
    """All digits, no index."""
    with replacing(path) as file:
        numbers.to_parquet(file, index=False)


def save_text(path: Path, text: str) -> None:
    """UTF-8."""
    with replacing(path) as file:
        file.write(text.encode(errors="replace"))


def own_folder(folder: Path) -> Path:
    """A folder to write to, made if it is not there.

    Raises NotOurFolder for a file, and for a symbolic link: it could lead anywhere.
    """
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise NotOurFolder(
            f"{folder} is a {'link' if folder.is_symlink() else 'file'}, not a folder; remove it"
        )
    folder.mkdir(exist_ok=True)
    return folder


def forget(folder: Path, made: Iterable[Path], of: str) -> None:
    """Remove the files of an earlier report of other results, and list those `made` now.

    `of`: a digest of the results; the files of another venue made from the same results are kept.
    """
    new = {path.relative_to(folder).as_posix() for path in made}
    earlier, digest = _listed(folder / MADE)
    if digest != of:
        for name in earlier - new:
            if _is_inside(folder, name):
                (folder / name).unlink(missing_ok=True)
        earlier = set()
    kept = {name for name in earlier if (folder / name).is_file()}
    save_text(folder / MADE, json.dumps({"of": of, "files": sorted(new | kept)}, indent=1) + "\n")


def _listed(path: Path) -> tuple[set[str], str]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return {str(name) for name in found["files"]}, str(found["of"])
    except (OSError, ValueError, KeyError, TypeError):
        return set(), ""


def _is_inside(folder: Path, name: str) -> bool:
    """Whether a listed name is a file of this folder or of a folder in it, and no link leads out."""
    parts = Path(name).parts
    place = folder / name
    return (
        0 < len(parts) <= 2 and ".." not in parts and not Path(name).is_absolute()
        and not place.parent.is_symlink() and place.suffix in (".csv", ".md", ".tex", ".pdf", ".png", ".html")
    )  # fmt: skip
