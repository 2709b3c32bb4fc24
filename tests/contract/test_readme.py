"""What the README tells a newcomer to run is what continuous integration runs."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_ci_runs_the_test_command_as_written():
    readme = (ROOT / "README.md").read_text()
    (command,) = re.findall(r"<!-- command: test -->\n```bash\n(.+)\n```", readme)
    assert f"bash -c '{command}'\n" in (ROOT / ".ci" / "run").read_text()
