"""Scripts that are run by hand say what they take, before they compute anything."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parents[1] / "benchmarks"


@pytest.mark.parametrize("family", ["decoding", "evaluation"])
def test_help_names_every_section_and_a_section_that_is_none_is_refused(family):
    script = SCRIPTS / family / "run.py"
    tree = ast.parse(script.read_text())
    (sections,) = [
        ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and node.targets[0].id == "SECTIONS"
    ]
    told = subprocess.run([sys.executable, script, "--help"], capture_output=True, text=True)
    assert told.returncode == 0 and told.stdout.startswith("usage: run.py")
    assert set(sections) <= set(told.stdout.replace(",", " ").replace(";", " ").split())
    wrong = subprocess.run([sys.executable, script, "sections"], capture_output=True, text=True)
    assert wrong.returncode == 2 and "there is no section sections" in wrong.stderr


def test_no_script_takes_arguments_without_a_parser():
    """A script that reads them itself takes --help for a name, or starts to measure."""
    for path in SCRIPTS.rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
        names |= {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
        parsers = {"ArgumentParser", "arguments", "sections"}
        if '__name__ == "__main__"' in path.read_text(encoding="utf-8"):
            assert names & parsers, path
        assert "argv" not in names or "ArgumentParser" in names, path
