"""Every model beside its baselines: held-out scores, intervals, nulls, and choosing."""

from neuroml._core.statistics import one_standard_error
from neuroml.data.splits import BlockedKFold, LeaveOneSubjectOut, SessionKFold
from neuroml.evaluation._evaluate import evaluate
from neuroml.evaluation._results import Evaluation
from neuroml.evaluation.associations import state_statistics, test_association

__all__ = [
    "BlockedKFold",
    "Evaluation",
    "LeaveOneSubjectOut",
    "SessionKFold",
    "evaluate",
    "one_standard_error",
    "state_statistics",
    "test_association",
]
