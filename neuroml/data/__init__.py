"""From bytes to recordings, and from recordings to the arrays that estimators take."""

from neuroml._core.recording import align_units, make_recording, stack, validate_recording
from neuroml.data.catalog import list_datasets, load_dataset

__all__ = [
    "align_units",
    "list_datasets",
    "load_dataset",
    "make_recording",
    "stack",
    "validate_recording",
]
