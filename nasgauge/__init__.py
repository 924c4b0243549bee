"""nasgauge: fair, fast comparison of neural-architecture searchers on NAS-Bench-201."""

from pathlib import Path

_HERE = Path(__file__).parent
if not (
    _HERE / "harness"
).is_dir():  # a checkout, installed in editable mode: the other folders stand beside this one
    __path__.append(str(_HERE.parent))
