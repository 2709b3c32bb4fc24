"""What the README tells a newcomer to run is what continuous integration runs."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def block(name):
    """The lines of a command's block: comments, and what is run."""
    (found,) = re.findall(rf"<!-- command: {name} -->\n```bash\n(.+?)\n```", README, re.DOTALL)
    lines = found.splitlines()
    comments = [line for line in lines if line.startswith("#")]
    return comments, [line for line in lines if not line.startswith("#")]


def test_ci_runs_the_test_command_as_written():
    _, (command,) = block("test")
    assert f"bash -c '{command}'\n" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["run", "test"])
def test_each_block_says_how_to_do_without_cuda(name):
    (comment,), (command,) = block(name)
    environment = re.match(
        r"python3 -m venv (\S+) && \1/bin/pip install -c constraints.txt", command
    )
    (torch,) = re.findall(r"^torch==\S+$", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    assert (
        f"python3 -m venv {environment[1]} && {environment[1]}/bin/pip install {torch} " in comment
    )


def test_what_it_shows_in_python_runs(tmp_path):
    blocks = re.findall(r"```python\n(.+?)```", README, re.DOTALL)
    code = "\n".join(blocks) + "\nassert model.n_states == 2\n"
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    assert "baseline: one state" in run.stdout and (tmp_path / "model.safetensors").is_file()
