"""Other packages on the same arrays: run by their own Python.

    python peer_models.py TASK given.npz found.npz

Writes what each package found, and its CPU seconds; packages that are not installed are left out.
"""

import sys
import time
import warnings
from pathlib import Path

import numpy as np

warnings.simplefilter("ignore")
ALPHAS = np.logspace(-2, 6, 25)


def himalaya_ridge(given):
    """Predictions of `RidgeCV`, whose penalties are chosen by five folds, for each target."""
    from himalaya.ridge import RidgeCV

    fitted = RidgeCV(alphas=ALPHAS, fit_intercept=True).fit(given["X"], given["y"])
    return {"predicted": fitted.predict(given["X_test"])}


def _parts(given):
    names = sorted(name for name in given if name.startswith("train"))
    return [given[name] for name in names], given["new"], int(given["k"])


def brainiak_srm(given):
    """Bases (n_voxels, k) of the training subjects, then that of the new one."""
    from brainiak.funcalign.srm import SRM

    train, new, k = _parts(given)
    model = SRM(features=k, n_iter=20)
    model.fit([part.T for part in train])
    bases = [*model.w_, model.transform_subject(new.T)]
    return {f"basis{i:02}": basis for i, basis in enumerate(bases)}


def fast_srm(given):
    """The same of the identifiable FastSRM."""
    from fastsrm.identifiable_srm import IdentifiableFastSRM

    train, new, k = _parts(given)
    model = IdentifiableFastSRM(n_components=k, n_iter=100, tol=1e-6, verbose=False)
    response = model.fit([part.T for part in train]).transform([part.T for part in train])
    model.add_subjects([new.T], response)
    return {f"basis{i:02}": basis for i, basis in enumerate(model.basis_list)}


def fmralign_procrustes(given):
    """A square map of the new subject to the mean of the training subjects."""
    from fmralign.methods import Procrustes

    train, new, _ = _parts(given)
    model = Procrustes(scaling=True).fit(new, np.mean(train, axis=0))
    return {"mapped": model.transform(given["later"])}


TASKS = {
    "ridge": {"himalaya RidgeCV": himalaya_ridge},
    "shared": {"BrainIAK SRM": brainiak_srm, "FastSRM": fast_srm},
    "aligned": {"fmralign Procrustes": fmralign_procrustes},
}


def main(task, source, target):
    given, found = dict(np.load(source)), {}
    for name, function in TASKS[task].items():
        try:
            function({key: value for key, value in given.items()})  # imports and first calls
            begin = time.process_time()
            arrays = function(given)
        except ImportError:
            continue
        found[f"{name}|seconds"] = time.process_time() - begin
        found |= {f"{name}|{key}": value for key, value in arrays.items()}
    np.savez(target, **found)


if __name__ == "__main__":
    sys.path.append(str(Path(__file__).parents[1]))
    from arguments import arguments

    main(*arguments(__doc__, "TASK", "GIVEN", "FOUND"))
