"""From bytes to recordings, and from recordings to the arrays that estimators take."""

from neuroml._core.recording import align_units, make_recording, stack, validate_recording
from neuroml.data.calcium import delta_f_over_f, read_traces, subtract_neuropil
from neuroml.data.catalog import list_datasets, load_dataset
from neuroml.data.clean import clean
from neuroml.data.fmri import read_fmri
from neuroml.data.spikes import read_spikes

__all__ = [
    "align_units",
    "clean",
    "delta_f_over_f",
    "list_datasets",
    "load_dataset",
    "make_recording",
    "read_fmri",
    "read_spikes",
    "read_traces",
    "stack",
    "subtract_neuropil",
    "validate_recording",
]
