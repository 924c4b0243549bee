"""The files that a visitor of the repository expects are there, can be read, and agree with the package."""

import re
import tomllib
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
YAML = sorted(
    path
    for pattern in (
        ".github/**/*.yml",
        "examples/**/.github/**/*.yml",
        "*.yaml",
        "CITATION.cff",
        ".pre-commit-config.yaml",
    )
    for path in ROOT.glob(pattern)
)
SECTIONS = ["Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"]


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def project() -> dict[str, Any]:
    found: dict[str, Any] = tomllib.loads(read("pyproject.toml"))["project"]
    return found


def test_they_are_there() -> None:
    for name in (
        "CHANGELOG.md", "CITATION.cff", "CODE_OF_CONDUCT.md", "CONTRIBUTING.md", "LICENSE", "README.md", "RELEASING.md",
        "SECURITY.md", ".github/PULL_REQUEST_TEMPLATE.md", ".github/workflows/test.yml", ".pre-commit-config.yaml",
    ):  # fmt: skip
        assert len(read(name)) > 100, name


@pytest.mark.parametrize("path", YAML, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_yaml_file_can_be_read(path: Path) -> None:
    assert isinstance(yaml.safe_load(path.read_text(encoding="utf-8")), dict)


def test_the_citation_has_what_the_format_requires_and_the_version_of_the_package() -> None:
    citation = yaml.safe_load(read("CITATION.cff"))
    assert {"cff-version", "message", "title", "authors"} <= set(citation)
    assert citation["cff-version"] == "1.2.0"
    assert citation["version"] == project()["version"]
    assert citation["license"] == project()["license"]
    for work in (citation, *citation["references"]):
        assert work["authors"]
        for author in work["authors"]:
            assert "name" in author or {"family-names", "given-names"} <= set(author)
    for work in citation["references"]:
        assert {"type", "title", "year"} <= set(work)


def test_the_workflow_tests_every_python_that_the_package_names() -> None:
    jobs = yaml.safe_load(read(".github/workflows/test.yml"))["jobs"]
    tested = {entry["python"] for entry in jobs["test"]["strategy"]["matrix"]["include"]}
    named = re.findall(r"Python :: (3\.\d+)", "\n".join(project()["classifiers"]))
    assert tested == set(named)
    environments = {entry["tox"] for entry in jobs["test"]["strategy"]["matrix"]["include"]}
    assert environments == {f"py{version.replace('.', '')}" for version in tested}
    assert {"lint", "docs"} <= set(jobs)
    commands = [step.get("run", "") for job in jobs.values() for step in job["steps"]]
    files = re.findall(r"test_\w+\.py", "\n".join(commands))
    assert files
    for name in files:
        assert (ROOT / "tests" / name).is_file(), name


def test_a_form_of_an_issue_has_what_the_platform_requires() -> None:
    forms = [path for path in (ROOT / ".github/ISSUE_TEMPLATE").glob("*.yml") if path.stem != "config"]
    assert len(forms) >= 2
    for path in forms:
        form = yaml.safe_load(path.read_text(encoding="utf-8"))
        assert {"name", "description", "body"} <= set(form), path
        for part in form["body"]:
            assert part["type"] in ("markdown", "textarea", "input", "dropdown", "checkboxes")
            assert "attributes" in part


def test_the_changelog_keeps_the_form() -> None:
    text = read("CHANGELOG.md")
    headings = re.findall(r"^(#+) (.+)$", text, re.MULTILINE)
    assert headings[0] == ("#", "Changelog")
    versions = [title for level, title in headings if level == "##"]
    assert versions[0] == "[Unreleased]"
    for title in versions[1:]:
        assert re.fullmatch(r"\[\d+\.\d+\.\d+\] - \d{4}-\d\d-\d\d", title), title
    for part in re.split(r"^## ", text, flags=re.MULTILINE)[1:]:
        sections = re.findall(r"^### (.+)$", part, re.MULTILINE)
        assert sections
        assert set(sections) <= set(SECTIONS)
        places = [SECTIONS.index(section) for section in sections]
        assert all(before < after for before, after in pairwise(places)), sections
