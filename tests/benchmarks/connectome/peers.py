"""One fit by a peer, in the Python that has it: ``python peers.py PEER PROBLEM.npz SWEEPS``.

Prints as JSON the relative error after each sweep, CPU seconds per sweep, and the version.
"""

import json
import sys
import time
from pathlib import Path

import numpy as np


def tensorly_hals(data, factors, sweeps):
    import tensorly
    from tensorly.decomposition import non_negative_parafac_hals

    start = time.process_time()
    found, errors = non_negative_parafac_hals(
        data["tensor"],
        factors[0].shape[1],
        n_iter_max=sweeps,
        init=(None, [f.astype(data["tensor"].dtype) for f in factors]),
        tol=1e-15,
        return_errors=True,
    )
    return found.factors, errors, time.process_time() - start, tensorly.__version__


def tensorly_masked(data, factors, sweeps):
    import tensorly
    from tensorly.decomposition import non_negative_parafac

    start = time.process_time()
    found, errors = non_negative_parafac(
        data["tensor"],
        factors[0].shape[1],
        n_iter_max=sweeps,
        init=(None, factors),
        tol=1e-15,
        return_errors=True,
        mask=data["mask"],
    )
    return found.factors, errors, time.process_time() - start, tensorly.__version__


def tensortools_hals(data, factors, sweeps):
    from importlib.metadata import version

    import tensortools
    from tensortools.tensors import KTensor

    start = time.process_time()
    found = tensortools.ncp_hals(
        data["tensor"],
        factors[0].shape[1],
        mask=data["mask"] if "mask" in data else None,
        init=KTensor(factors),
        max_iter=sweeps - 1,
        min_iter=sweeps,
        tol=-np.inf,
        verbose=False,
    )
    seconds = time.process_time() - start
    return found.factors.factors, found.obj_hist, seconds, version("tensortools")


PEERS = {f.__name__: f for f in (tensorly_hals, tensorly_masked, tensortools_hals)}

if __name__ == "__main__":
    sys.path.append(str(Path(__file__).parents[1]))
    from arguments import arguments

    name, path, sweeps = arguments(__doc__, "PEER", "PROBLEM", "SWEEPS")
    problem = dict(np.load(path))
    starts = [problem[f"factor_{k}"] for k in range(3)]
    PEERS[name](problem, [f.copy() for f in starts], 2)
    factors, errors, seconds, version = PEERS[name](problem, starts, int(sweeps))
    print(
        json.dumps(
            {
                "errors": [float(e) for e in errors],
                "seconds": seconds / len(errors),
                "version": version,
                "factors": [np.asarray(f, dtype=float).tolist() for f in factors],
            }
        )
    )
