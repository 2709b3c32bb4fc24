"""What is given of subjects whose units do not correspond, read and checked."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.utils import check_array

from neuroml._core.cohort import Subject, by_subject, is_cohort, sessions_by_subject
from neuroml._core.samples import is_mapping
from neuroml._core.validation import as_given, check_sessions, list_some, one_array
from neuroml.exceptions import DataError

__all__ = [
    "check_part",
    "check_shared",
    "is_list_of_subjects",
    "parts_of_cohort",
    "shared_sessions",
]


def is_list_of_subjects(X: Any) -> bool:
    """Whether X holds subjects in a list, of tables or of stacks of trials, or a 3-D array."""
    listed = isinstance(X, list | tuple) and len(X) > 0
    return is_cohort(X) or (listed and all(getattr(one, "ndim", 0) == 3 for one in X))


def parts_of_cohort(X: Any) -> tuple[dict[Subject, Any], bool]:
    """Each subject's data, and whether these have trials."""
    if is_mapping(X) or (is_list_of_subjects(X) and not is_cohort(X)):
        given = dict(X.items() if is_mapping(X) else enumerate(X))
        stacks = {s: getattr(as_given(one), "ndim", 2) == 3 for s, one in given.items()}
        if any(stacks.values()) and not all(stacks.values()):
            raise DataError(
                "some subjects have trials and others have none",
                expected="(n_samples, n_units) for all subjects, or (n_trials, n_samples, n_units)",
                found=f"trials in {list_some([s for s, one in stacks.items() if one])} only",
                fix="A single trial is X[None].",
                field="X",
            )
        if any(stacks.values()):
            return {s: as_given(one) for s, one in given.items()}, True
    return by_subject(X), False


def check_part(part: Any, subject: Subject, *, new: bool = False) -> np.ndarray:
    """One subject's data as (n_trials, n_samples, n_units), float64."""
    try:
        checked = check_array(
            one_array(part, "X", subject),
            dtype=np.float64,
            allow_nd=True,
            ensure_all_finite="allow-nan",
        )
    except (ValueError, TypeError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(str(error).splitlines()[0], subject=subject, field="X") from error
    checked = checked if checked.ndim == 3 else checked[None]
    if np.nanmin(checked, initial=0.0) < 0:
        raise DataError(
            "Negative values in data passed to CoupledFactorization",
            expected="entries >= 0",
            found=f"minimum {np.nanmin(checked):.4g} in {int((checked < 0).sum())} entries",
            fix="Take events or rates (neuroml.data.detect_events), or subtract each unit's "
            "minimum.",
            subject=subject,
            field="X",
        )
    unseen = np.flatnonzero(np.isnan(checked).all(axis=(0, 1)))
    if not new and len(unseen):
        raise DataError(
            "some units were never seen",
            expected="every unit of a subject in some of its samples",
            found=f"units {unseen[:10].tolist()} are NaN throughout",
            fix="Leave them out; a unit that was recorded and silent is 0.",
            subject=subject,
            field="X",
        )
    if not new and not np.nanmax(checked) > 0:
        raise DataError(
            "a subject is silent throughout", expected="some entries > 0", found="0 in all",
            fix="Leave it out.", subject=subject, field="X",
        )  # fmt: skip
    return checked


def check_shared(data: dict[Subject, np.ndarray], n_components: int) -> int:
    """The number of samples, which all subjects share and which some subject saw."""
    lengths = {s: part.shape[1] for s, part in data.items()}
    if len(set(lengths.values())) > 1:
        same_units = len({part.shape[2] for part in data.values()}) == 1
        raise DataError(
            "subjects differ in their number of samples, so they share no time axis",
            expected="the same samples in every subject, time first and units second",
            found=list_some([f"{s}: {n} samples" for s, n in lengths.items()]),
            fix="Transpose: it is the second axis that all share."
            if same_units
            else "Cut to what they share (neuroml.data.epochs); what a subject missed is NaN.",
            field="X",
        )
    seen = np.any([~np.isnan(part).all(axis=(0, 2)) for part in data.values()], axis=0)
    if not seen.all():
        raise DataError(
            "some samples were seen by no subject",
            expected="every sample in some subject",
            found=f"samples {np.flatnonzero(~seen)[:10].tolist()} are NaN throughout",
            fix="Leave them out.",
            field="X",
        )
    n_units = sum(part.shape[2] for part in data.values())
    most = min(n_units, len(seen) * max(len(part) for part in data.values()))
    if n_components > most:
        raise DataError(
            "more components than the data can determine",
            expected=f"n_components <= {most}",
            found=f"n_components={n_components} for {n_units} units of all subjects, "
            f"{len(seen)} samples",
            fix="Lower n_components.",
            field="n_components",
        )
    return len(seen)


def shared_sessions(
    X: Any, sessions: Any, subjects: list[Subject], n_samples: int, *, has_trials: bool
) -> np.ndarray:
    """Sessions of the samples, which are the same in all subjects."""
    in_parts = is_mapping(sessions) or (
        isinstance(sessions, list | tuple) and len(sessions) > 0 and np.ndim(sessions[0]) > 0
    )
    if sessions is not None and not in_parts:
        return check_sessions(sessions, n_samples)
    if has_trials and sessions is None:
        return check_sessions(None, n_samples)
    by = sessions_by_subject(X, sessions, None, dict.fromkeys(subjects, n_samples))
    first = next(iter(by.values()))
    for subject, own in by.items():
        if not np.array_equal(own, first):
            raise DataError(
                "subjects differ in their sessions, but share their samples",
                expected="the same session for a sample in every subject",
                found=f"{own.max() + 1} sessions and {first.max() + 1}",
                fix="sessions=labels of the samples, once for all.",
                subject=subject,
                field="sessions",
            )
    return first
