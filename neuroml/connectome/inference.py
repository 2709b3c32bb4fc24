"""Tests of components: surrogate data, association with behaviour, reliability over subjects."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, clone
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from neuroml._core.estimator import check_option, metadata_keywords
from neuroml._core.parallel import RandomState, run_parallel, show_progress, spawn_generators
from neuroml._core.samples import check_samples
from neuroml._core.statistics import match_rows, permutation_p_value
from neuroml._core.validation import as_given, as_numbers, check_sessions, session_slices
from neuroml.connectome.affinity_tensor import AffinityTensor
from neuroml.connectome.dynamic_connectome import DynamicConnectome, communities_of, fit_blocks
from neuroml.connectome.nonnegative_cp import NonnegativeCP
from neuroml.connectome.sliding_window import SlidingWindowConnectivity
from neuroml.exceptions import DataError

__all__ = ["association", "reliability", "surrogate", "surrogate_test"]

_KINDS = ("shift", "phase", "matched-covariance")


def surrogate(
    X: ArrayLike,
    kind: str = "shift",
    *,
    sessions: ArrayLike | None = None,
    random_state: RandomState = None,
) -> np.ndarray:
    r"""Make surrogate traces: units unrelated to each other, or related but the same at all times.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_units)
        Time first; NaN throughout a session for units that were not recorded.
    kind : {"shift", "phase", "matched-covariance"}, default="shift"
        "shift" shifts every unit's trace circularly, by a random time of its own within each
        session, which keeps its distribution and its autocorrelation. "phase" draws the phases of
        its Fourier coefficients anew, which keeps the power spectrum only [1]_.
        "matched-covariance" adds the same random phases to all units [2]_: units stay related as
        they are over the whole session (covariance, auto- and cross-correlations), in a stationary
        process, in which nothing switches.
    sessions : array-like of shape (n_samples,), optional
    random_state : int, RandomState, Generator or None, default=None

    Returns
    -------
    ndarray of shape (n_samples, n_units)

    References
    ----------
    .. [1] J. Theiler et al. (1992). Testing for nonlinearity in time series: the method of
       surrogate data. Physica D 58.
    .. [2] D. Prichard and J. Theiler (1994). Generating surrogate data for time series with several
       simultaneously measured variables. Physical Review Letters 73.

    Examples
    --------
    >>> import numpy as np
    >>> from neuroml.connectome import surrogate
    >>> X = np.random.default_rng(0).normal(size=(50, 3)).cumsum(axis=0)
    >>> np.array_equal(np.sort(surrogate(X, random_state=0), axis=0), np.sort(X, axis=0))
    True
    """
    makers = dict(zip(_KINDS, (_shift, _draw_phases, _turn_together), strict=True))
    check_option(kind, makers, "kind")
    X = np.array(X, dtype=np.float64)
    (rng,) = spawn_generators(random_state, 1)
    for part in session_slices(check_sessions(sessions, len(X))):
        X[part] = makers[kind](X[part], rng)
    return X


def _shift(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Shift every column circularly by a time of its own."""
    by = rng.integers(len(x), size=x.shape[1])
    return x[(np.arange(len(x))[:, None] - by) % len(x), np.arange(x.shape[1])]


def _draw_phases(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Turn every Fourier coefficient by a random angle."""
    return _turned(x, np.exp(2j * np.pi * rng.uniform(size=(len(x) // 2 + 1, x.shape[1]))))


def _turn_together(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Turn the coefficients of all columns by the same angles: cross-spectra stay as they are."""
    turns = np.exp(2j * np.pi * rng.uniform(size=(len(x) // 2 + 1, 1)))
    return _turned(x, turns, last=rng.choice([-1.0, 1.0]))


def _turned(x: np.ndarray, turns: np.ndarray, last: float = 1.0) -> np.ndarray:
    spectrum = np.fft.rfft(x, axis=0)
    # the mean, and for an even number of samples the highest frequency, are real
    turns[0] = 1
    if len(x) % 2 == 0:
        turns[-1] = last
    return np.fft.irfft(spectrum * turns, n=len(x), axis=0)


def surrogate_test(
    model: BaseEstimator,
    X: Any,
    *,
    sessions: ArrayLike | None = None,
    groups: ArrayLike | None = None,
    kind: str = "shift",
    n_surrogates: int = 99,
    n_jobs: int | None = None,
    verbose: int = 0,
    random_state: RandomState = None,
) -> pd.DataFrame:
    """Test weights and block contrasts of components against surrogate cohorts.

    The whole pipeline is fitted anew to every surrogate, communities included, so that the test
    stays valid though communities are chosen from the same data. Weights and contrasts are compared
    with the largest one of each surrogate, which corrects for the number of components. Contrasts
    are the more powerful test of small components: unrelated units have affinities, too.

    Parameters
    ----------
    model : DynamicConnectome, or Pipeline
        Fitted to ``X``. A pipeline ends in `DynamicConnectome`, or in `NonnegativeCP` right after
        `AffinityTensor` or `SlidingWindowConnectivity`; the communities of its components are those
        that `WeightedSBM` finds.
    X, sessions, groups
        Traces, as in `DynamicConnectome.fit`.
    kind : {"shift", "phase", "matched-covariance"}, default="shift"
        Kind of `surrogate`, made for every subject by itself. "shift" asks whether units are
        related at all, "matched-covariance" whether there is more than relations that stay.
    n_surrogates : int, default=99
    n_jobs : int or None, default=None
        Number of processes, over surrogates.
    verbose : int, default=0
        1 shows the progress.
    random_state : int, RandomState, Generator or None, default=None

    Returns
    -------
    DataFrame
        One row per component: ``component``; ``weight``, the norm of the component; ``contrast``,
        the correlation over pairs of the motif with belonging to the same community (0 without
        communities); ``weight_p`` and ``contrast_p``, both family-wise over components.

    Raises
    ------
    DataError
        If the model does not make components from traces.
    """
    check_option(kind, _KINDS, "kind")
    steps = _steps_of(model)
    if not makes_components(model):
        raise DataError(
            "this model has no components that surrogates of traces could be compared with",
            expected="DynamicConnectome, or a Pipeline that ends in AffinityTensor or "
            "SlidingWindowConnectivity, and NonnegativeCP",
            found=", ".join(type(step).__name__ for step in steps),
            field="model",
        )
    check_is_fitted(model)
    X, sessions, groups = _rows(steps[-1], X, sessions, groups)
    rngs = spawn_generators(random_state, n_surrogates)
    tasks = [(steps, X, sessions, groups, kind, rng) for rng in rngs]
    done = run_parallel(_of_surrogate, tasks, n_jobs=n_jobs)
    null = np.array(list(show_progress(done, n_surrogates, "surrogates", verbose)))
    observed = _statistics(steps)
    # with the largest, not with the one of the same rank: where the first component is a community,
    # the second is the level that rectified noise gives all pairs, which is a surrogate's first
    p = permutation_p_value(observed, null.max(axis=2, keepdims=True))
    columns = ["weight", "contrast", "weight_p", "contrast_p"]
    table = pd.DataFrame(np.concatenate([observed, p]).T, columns=columns)
    return table.rename_axis("component").reset_index()


def makes_components(model: BaseEstimator) -> bool:
    """Whether `surrogate_test` can test a model."""
    *before, last = _steps_of(model)
    from_pairs = bool(before) and isinstance(before[-1], AffinityTensor | SlidingWindowConnectivity)
    return isinstance(last, DynamicConnectome) or (isinstance(last, NonnegativeCP) and from_pairs)


def _steps_of(model: BaseEstimator) -> list[Any]:
    return [step for _, step in model.steps] if isinstance(model, Pipeline) else [model]


def _of_surrogate(
    steps: list[Any],
    X: np.ndarray,
    sessions: np.ndarray,
    groups: np.ndarray,
    kind: str,
    rng: np.random.Generator,
) -> np.ndarray:
    X = surrogate(X, kind, sessions=sessions, random_state=rng)
    steps = [clone(step) for step in steps]
    for step in steps:
        known = {"sessions": sessions, "groups": groups}
        taken = {k: known[k] for k in metadata_keywords(type(step), "fit") if k in known}
        if step is steps[-1]:
            step.fit(X, **taken)
        else:
            X = step.fit_transform(X, **taken)
    return _statistics(steps)


def _statistics(steps: list[Any]) -> np.ndarray:
    """Weight and block contrast of every component (2, n_components)."""
    model = steps[-1]
    if isinstance(model, DynamicConnectome):
        weights = model.factorization_.cp_.weights
        both = zip(model.motifs_, model.communities_, strict=True)
        return np.array([weights, [_block_contrast(motif, labels) for motif, labels in both]])
    motifs = _motifs(steps[-2], model.cp_.factors)
    labels = [communities_of(fit_blocks(motif), motif) for motif in motifs]
    contrasts = [_block_contrast(*both) for both in zip(motifs, labels, strict=True)]
    return np.array([model.cp_.weights, contrasts])


def _motifs(before: Any, factors: list[np.ndarray]) -> np.ndarray:
    """Symmetric pattern of each component (n_components, n_units, n_units); NaN without a value."""
    n_units = before.n_features_in_
    if isinstance(before, AffinityTensor):
        same = before.signs_ > 0
        i_j, values = before.pairs_[same].T, factors[0][same]
    else:
        i_j = np.triu_indices(n_units, k=1)
        values = factors[1]
        if len(factors) == 3:  # window, unit, unit: the outer product of the two, at each pair
            first, second = factors[1:]
            values = (first[i_j[0]] * second[i_j[1]] + first[i_j[1]] * second[i_j[0]]) / 2
    found = np.full((values.shape[1], n_units, n_units), np.nan)
    found[:, i_j[0], i_j[1]] = values.T
    turned = found.swapaxes(1, 2)
    # a pair in one order is both of them; of one in two orders, the mean
    both = np.where(np.isnan(found), turned, found), np.where(np.isnan(turned), found, turned)
    return np.mean(both, axis=0)


def _block_contrast(motif: np.ndarray, labels: np.ndarray) -> float:
    """Correlation over pairs of the motif with belonging to the same community."""
    i, j = np.nonzero(np.triu(~np.isnan(motif), k=1))
    values, inside = motif[i, j], (labels[i] == labels[j]) & (labels[i] >= 0)
    if inside.all() or not inside.any():
        return 0.0
    return float(np.corrcoef(values, inside)[0, 1])


def association(
    time_courses: ArrayLike,
    target: ArrayLike,
    *,
    block: int,
    sessions: ArrayLike | None = None,
    n_permutations: int = 999,
    random_state: RandomState = None,
) -> pd.DataFrame:
    """Correlate time courses with events or behaviour, and test by permuting blocks of time.

    Parameters
    ----------
    time_courses : array-like of shape (n_times, n_components)
    target : array-like of shape (n_times,)
        A behaviour, or 0 and 1 for an event (`neuroml.data.labels_from_events`).
    block : int
        Number of samples in a block. It must be longer than the autocorrelation of both, otherwise
        p-values are too small. Blocks are permuted within their session, after a circular shift by
        a random time.
    sessions : array-like of shape (n_times,), optional
    n_permutations : int, default=999
    random_state : int, RandomState, Generator or None, default=None

    Returns
    -------
    DataFrame
        One row per component: ``component``, ``correlation``, its two-sided ``p``, and
        ``p_corrected`` against the largest correlation of any component.

    Raises
    ------
    DataError
        If lengths differ, the target never changes or is not finite, or no session has two blocks.

    Examples
    --------
    >>> import numpy as np
    >>> from neuroml.connectome import association
    >>> rng = np.random.default_rng(0)
    >>> event = np.repeat(rng.integers(2, size=40), 10)
    >>> courses = rng.uniform(size=(400, 2))
    >>> courses[:, 1] += event
    >>> found = association(courses, event, block=20, random_state=0)
    >>> (found["p"] < 0.05).tolist()
    [False, True]
    """
    courses, values = (
        as_numbers(as_given(given, name), name).astype(np.float64)
        for given, name in ((time_courses, "time_courses"), (target, "target"))
    )
    if not np.isfinite(courses).all():
        raise DataError(
            "time courses are not finite",
            expected="finite numbers",
            found=f"{int((~np.isfinite(courses)).sum())} NaN or infinite",
            fix="Leave those samples out.",
            field="time_courses",
        )
    if values.shape != courses.shape[:1] or not np.isfinite(values).all() or not np.ptp(values):
        raise DataError(
            "nothing can be associated with this target",
            expected=f"{len(courses)} finite values, not all the same",
            found=f"shape {values.shape}, {int((~np.isfinite(values)).sum())} not finite",
            field="target",
        )
    slices = session_slices(check_sessions(sessions, len(values)))
    if max(part.stop - part.start for part in slices) < 2 * block:
        raise DataError(
            "there is nothing to permute: no session has two blocks",
            expected=f"a session of >= {2 * block} samples",
            found=f"sessions of {[part.stop - part.start for part in slices][:10]}",
            field="block",
        )
    z = (courses - courses.mean(axis=0)) / np.where(np.ptp(courses, axis=0), courses.std(axis=0), 1)
    spread = (values - values.mean()) / values.std() / len(values)
    observed = spread @ z
    rngs = spawn_generators(random_state, n_permutations)
    null = np.abs([spread[_permuted(slices, block, rng)] @ z for rng in rngs])
    return pd.DataFrame(
        {
            "component": np.arange(len(observed)),
            "correlation": observed,
            "p": permutation_p_value(np.abs(observed), null),
            "p_corrected": permutation_p_value(np.abs(observed), null.max(axis=1)[:, None]),
        }
    )


def _permuted(slices: list[slice], block: int, rng: np.random.Generator) -> np.ndarray:
    """Samples in a new order: each session shifted, cut into blocks, and the blocks permuted."""
    order = []
    for part in slices:
        n = part.stop - part.start
        turned = part.start + (np.arange(n) + rng.integers(n)) % n
        pieces = np.split(turned, np.arange(block, n, block))
        order += [pieces[k] for k in rng.permutation(len(pieces))]
    return np.concatenate(order)


def reliability(
    model: DynamicConnectome,
    X: Any,
    *,
    sessions: ArrayLike | None = None,
    groups: ArrayLike | None = None,
    scheme: str = "leave_one_out",
    n_splits: int = 10,
    n_jobs: int | None = None,
    verbose: int = 0,
    random_state: RandomState = None,
) -> pd.DataFrame:
    """Measure whether components recur in other subjects.

    Each fit takes the units that its subjects have; two fits are compared on the pairs of both.

    Parameters
    ----------
    model : DynamicConnectome
        Fitted to ``X``.
    X, sessions, groups
        As in `DynamicConnectome.fit`.
    scheme : {"leave_one_out", "split_half"}, default="leave_one_out"
        Compare fits without one subject to ``model``, or fits to two random halves with each other.
    n_splits : int, default=10
        Number of random halves.
    n_jobs : int or None, default=None
        Number of processes, over splits.
    verbose : int, default=0
        1 shows the progress.
    random_state : int, RandomState, Generator or None, default=None

    Returns
    -------
    DataFrame
        One row per split and component of ``model``: ``split``, ``left_out`` (the subjects without
        which the first fit was made), ``component``, ``motif`` and ``time_course`` (correlations
        between the two fits' matched components; matching alone makes them somewhat larger than 0
        by chance), and ``held_out``, the first fit's relative error on those subjects.

    Raises
    ------
    DataError
        If there are fewer than three subjects (four for halves).
    """
    fewest = {"leave_one_out": 3, "split_half": 4}
    check_option(scheme, fewest, "scheme")
    check_is_fitted(model)
    X, sessions, groups = _rows(model, X, sessions, groups)
    subjects = np.unique(groups)
    if len(subjects) < fewest[scheme]:
        raise DataError(
            "too few subjects to leave any out",
            expected=f">= {fewest[scheme]} subjects",
            found=f"{len(subjects)}",
            field="X",
        )
    if scheme == "leave_one_out":
        outs = [subjects[k : k + 1] for k in range(len(subjects))]
    else:
        rngs = spawn_generators(random_state, n_splits)
        outs = [np.sort(rng.permutation(subjects)[: len(subjects) // 2]) for rng in rngs]
    tasks = [(model, X, sessions, groups, out, scheme == "split_half") for out in outs]
    rows = []
    done = run_parallel(_compare, tasks, n_jobs=n_jobs)
    for split, (found, error) in enumerate(show_progress(done, len(tasks), "splits", verbose)):
        left_out = ", ".join(str(subject) for subject in outs[split])
        rows += [(split, left_out, r, *both, error) for r, both in enumerate(found)]
    columns = ["split", "left_out", "component", "motif", "time_course", "held_out"]
    return pd.DataFrame(rows, columns=columns)


def _compare(
    model: DynamicConnectome,
    X: np.ndarray,
    sessions: np.ndarray,
    groups: np.ndarray,
    out: np.ndarray,
    halves: bool,
) -> tuple[list[tuple[float, float]], float]:
    """Agreement of each component between two fits, and the first one's held-out error."""
    held = np.isin(groups, out)

    def fitted(rows: np.ndarray) -> tuple[DynamicConnectome, np.ndarray]:
        """Fit to some subjects, with the units that these have."""
        seen = np.flatnonzero(~np.isnan(X[rows]).all(axis=0))
        part = X[np.ix_(rows, seen)]
        return clone(model).fit(part, sessions=sessions[rows], groups=groups[rows]), seen

    whole = (model, np.arange(X.shape[1]))
    first = fitted(np.flatnonzero(~held))
    second = fitted(np.flatnonzero(held)) if halves else whole
    orders = [match_rows(_alike(whole, one).sum(axis=0)) for one in (first, second)]
    alike = _alike(first, second)
    error = -first[0].score(X[held][:, first[1]], sessions=sessions[held], groups=groups[held])
    return [
        (float(alike[0, a, b]), float(alike[1, a, b])) for a, b in zip(*orders, strict=True)
    ], error


def _alike(
    a: tuple[DynamicConnectome, np.ndarray], b: tuple[DynamicConnectome, np.ndarray]
) -> np.ndarray:
    """Correlations of motifs and of time courses between two fits' components (2, R, R)."""
    n = a[0].n_components
    units, in_a, in_b = np.intersect1d(a[1], b[1], return_indices=True)
    i, j = np.triu_indices(len(units), k=1)
    first = a[0].motifs_[:, in_a[i], in_a[j]]
    second = b[0].motifs_[:, in_b[i], in_b[j]]
    shared = ~np.isnan(first[0] + second[0])
    motifs = np.corrcoef(first[:, shared], second[:, shared])[:n, n:]
    courses = np.corrcoef(a[0].time_courses_.T, b[0].time_courses_.T)[:n, n:]
    return np.nan_to_num([motifs, courses])


def _rows(
    model: BaseEstimator, X: Any, sessions: Any, groups: Any
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The cohort as one array, with the session and the subject of every sample.

    Without ``groups``, a session is a subject, and its label that of the subject.
    """
    given: Any = check_samples(
        clone(model), X, sessions=sessions, groups=groups, reset=True, on_nan="keep"
    )
    return given.X, given.sessions, given.sessions if given.groups is None else given.groups
