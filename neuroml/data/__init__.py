"""From bytes to recordings, and from recordings to the arrays that estimators take."""

from neuroml._core.recording import align_units, make_recording, stack, validate_recording
from neuroml.data.catalog import list_datasets, load_dataset, open_dataset, read_card

__all__ = [
    "align_units",
    "list_datasets",
    "load_dataset",
    "make_recording",
    "open_dataset",
    "read_card",
    "stack",
    "validate_recording",
]
