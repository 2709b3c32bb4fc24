"""What evaluations claim, measured: one command, one thread.

    OMP_NUM_THREADS=1 python tests/benchmarks/evaluation/run.py [section ...]

Without sections, all of them: nulls, choosing, overhead, datasets.
"""

import importlib
import sys
from pathlib import Path

SECTIONS = ("nulls", "choosing", "overhead", "datasets")

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    chosen, sys.argv = sys.argv[1:] or SECTIONS, sys.argv[:1]
    for section in chosen:
        module = importlib.import_module(section)
        print(f"\n== {section}: {module.__doc__.splitlines()[0]}", flush=True)
        module.main()
