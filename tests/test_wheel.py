"""The wheel: one package, every file, and at home beside folders of the user's own with the same names."""

import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path
from zipfile import ZipFile

import pytest
from house import FOLDERS

import nasgauge
from nasgauge.spaces.errors import EXTRAS

ROOT = Path(__file__).resolve().parents[1]
SCRIPT = """
import sys
from pathlib import Path

import nasgauge
from nasgauge.cli import main

if __name__ == "__main__":
    assert Path(nasgauge.__file__).is_relative_to(sys.prefix), nasgauge.__file__
    try:
        main()
    finally:
        import analysis, data, harness

        assert (analysis.MINE, data.MINE, harness.MINE) == (1, 2, 3)
"""
CAMPAIGN = ("bench", "-n", "2", "-b", "20", "-s", "random,evolution", "--workers", "2", "-o", "out")


def run(*command: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run a command as a user's shell would, without the variables of this session."""
    ours = ("PYTHON", "COV_", "PYTEST_")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    done = subprocess.run(
        [*map(str, command)], cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )
    assert not done.returncode, done.stdout + done.stderr
    return done


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    build = ("wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", folder)
    run(sys.executable, "-m", "pip", *build, ROOT, cwd=folder)
    (path,) = folder.glob("*.whl")
    return path


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A user's project, whose modules have the names of our folders."""
    folder = tmp_path / "project"
    for package in ("data", "harness"):
        (folder / package).mkdir(parents=True)
    (folder / "analysis.py").write_text("MINE = 1\n")
    (folder / "data" / "__init__.py").write_text("MINE = 2\n")
    (folder / "harness" / "__init__.py").write_text("MINE = 3\n")
    (folder / "script.py").write_text(SCRIPT)
    return folder


def test_the_wheel_holds_one_package_with_every_file(wheel: Path) -> None:
    with ZipFile(wheel) as packed:
        names = [name for name in packed.namelist() if ".dist-info/" not in name]
    assert {name.partition("/")[0] for name in names} == {"nasgauge"}
    expected = {
        str(Path("nasgauge", "" if folder == "nasgauge" else folder, path.relative_to(ROOT / folder)))
        for folder in FOLDERS
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }
    assert len(expected) > 100
    assert set(names) == expected
    assert "nasgauge/py.typed" in names


def test_the_wheel_is_small(wheel: Path) -> None:
    assert wheel.stat().st_size < 10e6, f"{wheel.stat().st_size / 1e6:.1f} MB"


def campaign(home: Path, project: Path) -> None:
    """Run a campaign with two workers by the project's script, and the installed command."""
    done = run(home / "bin" / "python", "script.py", *CAMPAIGN, cwd=project)
    assert "report.html" in done.stdout
    assert len(list((project / "out").glob("*.parquet"))) >= 2
    assert (project / "out" / "report" / "report.html").stat().st_size > 1e6
    assert run(home / "bin" / "nasgauge", "--version", cwd=project).stdout.startswith("nasgauge ")


def test_a_campaign_runs_beside_folders_with_our_names(wheel: Path, project: Path, tmp_path: Path) -> None:
    """In a new environment: nasgauge from the wheel, its dependencies from this one."""
    home = tmp_path / "home"
    venv.create(home)
    paths = sysconfig.get_paths(vars={"base": str(home), "platbase": str(home)})
    others = [path for path in sys.path if Path(path).name == "site-packages"]
    Path(paths["purelib"], "others.pth").write_text("\n".join(others))  # their own .pth files are not read
    install = ("--quiet", "--no-deps", "--ignore-installed", "--no-index", wheel)
    python = home / "bin" / "python"
    run(sys.executable, "-m", "pip", "--python", python, "install", *install, cwd=tmp_path)
    campaign(home, project)


@pytest.mark.slow
def test_a_campaign_runs_in_an_environment_of_its_own(wheel: Path, project: Path, tmp_path: Path) -> None:
    """`pip install` of the wheel brings all that the default job needs, and nothing of an extra."""
    home = tmp_path / "home"
    venv.create(home, with_pip=True)
    run(home / "bin" / "python", "-m", "pip", "install", "--quiet", wheel, cwd=tmp_path)
    found = "import importlib.util, sys; print(*[n for n in sys.argv[1:] if importlib.util.find_spec(n)])"
    assert not run(home / "bin" / "python", "-c", found, *EXTRAS, cwd=tmp_path).stdout.split()
    campaign(home, project)


@pytest.mark.skipif("NASGAUGE_TESTS_WHEEL" not in os.environ, reason="set by tox, which installs the wheel")
def test_tox_tests_the_installed_wheel() -> None:
    """In this process, and in one that starts in the checkout."""
    script = "import nasgauge; print(nasgauge.__file__)"
    child = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    for file in (nasgauge.__file__, child.stdout.strip()):
        assert Path(file).parent.parent == Path(sysconfig.get_path("purelib"))
