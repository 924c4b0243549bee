"""Tables of numbers as files, each of which appears whole or not at all."""

from pathlib import Path

import pandas as pd

from nasgauge.data.atomic import replacing


def save_csv(path: Path, numbers: pd.DataFrame) -> None:
    """Six significant digits, no index."""
    save_text(path, numbers.to_csv(index=False, float_format="%.6g"))


def save_parquet(path: Path, numbers: pd.DataFrame) -> None:
    """All digits, no index."""
    with replacing(path) as file:
        numbers.to_parquet(file, index=False)


def save_text(path: Path, text: str) -> None:
    """UTF-8."""
    with replacing(path) as file:
        file.write(text.encode())
