"""From bytes to recordings, and from recordings to the arrays that estimators take."""

from neuroml._core.recording import align_units, make_recording, stack, validate_recording
from neuroml.data.bases import bspline_basis, convolve_basis, raised_cosine_basis
from neuroml.data.bids import read_bids
from neuroml.data.bins import bin_time
from neuroml.data.calcium import read_traces
from neuroml.data.catalog import list_datasets, load_dataset, open_dataset, read_card
from neuroml.data.clean import clean
from neuroml.data.covariates import add_covariates
from neuroml.data.deconvolution import detect_events
from neuroml.data.describe import describe_file
from neuroml.data.events import epochs, labels_from_events, read_events
from neuroml.data.fluorescence import delta_f_over_f, subtract_neuropil
from neuroml.data.fmri import read_fmri
from neuroml.data.images import to_image
from neuroml.data.resample import resample_to
from neuroml.data.spikes import read_spikes
from neuroml.data.splits import BlockedKFold, LeaveOneSubjectOut, SessionKFold
from neuroml.data.trials import read_trials

__all__ = [
    "BlockedKFold",
    "LeaveOneSubjectOut",
    "SessionKFold",
    "add_covariates",
    "align_units",
    "bin_time",
    "bspline_basis",
    "clean",
    "convolve_basis",
    "delta_f_over_f",
    "describe_file",
    "detect_events",
    "epochs",
    "labels_from_events",
    "list_datasets",
    "load_dataset",
    "make_recording",
    "open_dataset",
    "raised_cosine_basis",
    "read_bids",
    "read_card",
    "read_events",
    "read_fmri",
    "read_spikes",
    "read_traces",
    "read_trials",
    "resample_to",
    "stack",
    "subtract_neuropil",
    "to_image",
    "validate_recording",
]
