"""What `read_bids` makes of public data sets without images: the repository bids-examples.

    python tests/benchmarks/data/public_bids.py FOLDER

FOLDER is a copy of github.com/bids-standard/bids-examples that may be written to. Its images are
empty files; each empty ``*_bold.nii[.gz]`` becomes an image of 4 x 4 x 4 voxels and ten volumes
that states no repetition time, so that the sidecars alone can. Prints for every data set how many
images there are, how many runs are read, how many of them have events, and what was refused.
"""

import sys
import time
import warnings
from collections import Counter
from pathlib import Path

import nibabel
import numpy as np
import pandas as pd

from neuroml.data.bids import find_runs
from neuroml.exceptions import DataError

_SHAPE = (4, 4, 4, 10)
_CHOICES = {"space": "MNI152NLin2009cAsym", "echo": "1"}  # where a run has several images


def fill(folder: Path) -> int:
    """Put small images into the empty files; how many."""
    rng, filled = np.random.default_rng(0), 0
    for path in folder.rglob("*_bold.nii*"):
        if path.name.endswith((".nii", ".nii.gz")) and path.stat().st_size == 0:
            image = nibabel.Nifti1Image(rng.normal(size=_SHAPE).astype(np.float32), np.eye(4))
            image.header.set_xyzt_units("mm", "sec")
            image.header["pixdim"][4] = 0
            image.to_filename(path)
            filled += 1
    return filled


def read(folder: Path) -> dict[str, object]:
    """One row of the table."""
    labels = nibabel.Nifti1Image(np.arange(64, dtype=np.int16).reshape(4, 4, 4) % 5, np.eye(4))
    row = {"data set": folder.name, "images": len(list(folder.rglob("*_bold.nii*")))}
    started = time.perf_counter()
    try:
        runs, _ = find_runs(folder)
    except DataError as error:
        row |= {"read": 0, "refused": str(error)[:110]}
        entities = {name: value for name, value in _CHOICES.items() if name in str(error)}
        try:
            runs, _ = find_runs(folder, entities=entities)
        except DataError:
            return row
        row["refused"] = f"first: {row['refused']}; with {entities}"
    row["seconds to find"] = round(time.perf_counter() - started, 2)
    outcome: Counter[str] = Counter()
    for run in runs:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                run.read(labels=labels)
                outcome["events"] += run.events is not None
                outcome["read"] += 1
        except DataError as error:
            outcome[f"{error.problem[:70]}"] += 1
    row |= {"runs": len(runs), "read": outcome.pop("read", 0), "events": outcome.pop("events", 0)}
    if outcome:
        row["refused"] = "; ".join(f"{n}x {what}" for what, n in outcome.most_common())
    return row


def main(root: Path) -> None:
    """Print the table."""
    print(f"{fill(root)} images filled", flush=True)
    sets = sorted({path for path in root.iterdir() if next(path.rglob("*_bold.nii*"), None)})
    table = pd.DataFrame([read(folder) for folder in sets])
    with pd.option_context("display.max_colwidth", 160, "display.width", 300):
        print(table.to_string(index=False))
    print(table[["images", "runs", "read", "events"]].sum().to_string())


if __name__ == "__main__":
    sys.path.append(str(Path(__file__).parents[1]))
    from arguments import arguments

    main(Path(arguments(__doc__, "FOLDER")[0]))
