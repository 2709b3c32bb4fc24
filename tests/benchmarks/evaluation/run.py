"""What evaluations claim, measured: one command, one thread.

    OMP_NUM_THREADS=1 python tests/benchmarks/evaluation/run.py [section ...]

Without sections, all of them: nulls, choosing, overhead, datasets.
"""

import importlib
import sys
from pathlib import Path

SECTIONS = ("nulls", "choosing", "overhead", "datasets")

if __name__ == "__main__":
    sys.path.append(str(Path(__file__).parents[1]))
    from arguments import sections

    sys.path.insert(0, str(Path(__file__).parent))
    for section in sections(__doc__, SECTIONS):
        module = importlib.import_module(section)
        print(f"\n== {section}: {module.__doc__.splitlines()[0]}", flush=True)
        module.main()
