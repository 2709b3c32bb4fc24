"""All measurements of the connectome family: ``python tests/benchmarks/connectome/run.py``.

``NEUROML_PEERS`` names the Python that has tensorly, tensortools and the other peers, if not this
one. Every script beside this one can also be run by itself.
"""

import os
import subprocess
import sys
from pathlib import Path

HELPERS = {"run.py", "peers.py", "community_peers.py"}

if __name__ == "__main__":
    sys.path.append(str(Path(__file__).parents[1]))
    from arguments import arguments

    arguments(__doc__)
    scripts = sorted(p for p in Path(__file__).parent.glob("*.py") if p.name not in HELPERS)
    for script in scripts:
        print(f"\n=== {script.stem} ===", flush=True)
        threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
        subprocess.run([sys.executable, script], env=os.environ | threads, check=True)
