"""What the decoding family shows, in one command.

    python tests/benchmarks/decoding/run.py [section ...]

Without sections, all of them. Peers that are not installed are skipped, and the output says so.
"""

import importlib
import sys
from pathlib import Path

SECTIONS = (
    "shared_response",
    "shared_axes",
    "peers",
    "few_samples",
    "ridge_path",
    "matching",
    "real",
    "predictions",
    "readouts",
    "cross_subject",
)

if __name__ == "__main__":
    sys.path.append(str(Path(__file__).parents[1]))
    from arguments import sections

    sys.path.insert(0, str(Path(__file__).parent))
    for section in sections(__doc__, SECTIONS):
        module = importlib.import_module(section)
        print(f"\n== {section}: {module.__doc__.splitlines()[0]}", flush=True)
        module.main()
