"""What has to agree before a version is released: its number, the changelog and the citation."""

import re
import tomllib
from pathlib import Path

import neuroml

ROOT = Path(__file__).parents[2]


def changelog():
    return (ROOT / "CHANGELOG.md").read_text()


def test_the_changelog_is_kept():
    """Keep a Changelog 1.1: the version first, its changes under the headings that it names."""
    versions = re.findall(r"^## \[(.+?)\](?: - (\d{4}-\d\d-\d\d))?$", changelog(), re.M)
    numbers = [number for number, _ in versions if number != "Unreleased"]
    assert versions, "no version stands in the changelog"
    assert versions[0][0] in ("Unreleased", neuroml.__version__)
    assert all(day for number, day in versions if number != "Unreleased"), "a day for each release"
    assert numbers == sorted(numbers, key=lambda n: [int(part) for part in n.split(".")])[::-1]
    headings = set(re.findall(r"^### (.+)$", changelog(), re.M))
    assert headings <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


def test_the_citation_names_the_version():
    citation = (ROOT / "CITATION.cff").read_text()
    assert re.search(r"^version: (.+)$", citation, re.M)[1] == neuroml.__version__
    assert re.search(r"^date-released: \d{4}-\d\d-\d\d$", citation, re.M)


def test_the_project_reads_its_version_from_the_package():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert project["tool"]["hatch"]["version"]["path"] == "neuroml/__init__.py"
    assert "version" in project["project"]["dynamic"]
