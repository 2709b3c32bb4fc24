"""Statistics of states per session, and permutation tests of what they go with."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from neuroml._core.estimator import check_option
from neuroml._core.parallel import RandomState, run_parallel, show_progress, spawn_generators
from neuroml._core.samples import as_samples, is_mapping
from neuroml._core.statistics import permutation_p_value
from neuroml._core.validation import (
    as_given,
    as_numbers,
    check_labels,
    check_sessions,
    check_states,
    list_some,
    session_slices,
    visits_of,
)
from neuroml.evaluation._permutations import NOTHING, Design, Exchange
from neuroml.exceptions import DataError

__all__ = ["state_statistics", "test_association"]

# Posteriors in single precision, or rounded to three digits, still sum to one within this.
_SUM_TOLERANCE = 1e-3
# Entries of permuted features that are held at once: 32 MB in double precision.
_CHUNK = 4_000_000


def state_statistics(
    states: Any,
    *,
    sessions: ArrayLike | None = None,
    groups: ArrayLike | None = None,
    n_states: int | None = None,
    rate_hz: float | None = None,
) -> pd.DataFrame:
    """Describe how long, how often and how steadily each state is visited.

    Parameters
    ----------
    states : array-like of shape (n_samples,) or (n_samples, n_states)
        Numbers of states from 0, or posterior probabilities of the states. A list has one array per
        session; a dict one per subject, or a list of sessions per subject.
    sessions : array-like of shape (n_samples,), optional
        Session of each sample, contiguous within a subject; subjects may use the same labels.
    groups : array-like of shape (n_samples,), optional
        Subject of each sample.
    n_states : int, optional
        By default the largest number of a state in all of ``states``, plus one.
    rate_hz : float, optional
        Samples per second; without it times are in samples.

    Returns
    -------
    DataFrame
        One row per ``subject`` ("" where it is not known), ``session`` and ``state``:

        - ``occupancy``: share of the samples, or mean posterior probability;
        - ``dwell``: mean length of a visit, NaN where the state is not visited;
        - ``interval``: mean time from the end of a visit to the start of the next one, NaN where
          there are fewer than two visits;
        - ``n_visits``;
        - ``switching_rate``: changes of state per second (or sample), over the ``n_samples - 1``
          places where there could be one; it is one number per session, repeated for its states,
          and NaN for a session of one sample.

    Raises
    ------
    DataError
        If states are no numbers of states and no probabilities, or labels do not fit.

    Notes
    -----
    All but ``occupancy`` are of the most probable states. A visit ends with its session, and visits
    that the border cuts count with the length that is seen, as in glhmm and osl-dynamics: leaving
    them out would leave out long visits more often than short ones. Time before the first and after
    the last visit is no interval.

    For `test_association`, make it a table with one row per session, ``wide = table.pivot(
    index=["subject", "session"], columns="state", values=["occupancy", "dwell"])``, or per subject,
    ``wide.groupby("subject").mean()``; ``switching_rate`` needs one state of each,
    ``table[table["state"] == 0]``. Sort the targets by its index.

    Examples
    --------
    >>> from neuroml.evaluation import state_statistics
    >>> table = state_statistics([0, 0, 1, 0, 0, 0], rate_hz=2.0)
    >>> table[["state", "dwell", "interval", "n_visits", "switching_rate"]].values.tolist()
    [[0.0, 1.25, 0.5, 2.0, 0.8], [1.0, 0.5, nan, 1.0, 0.8]]
    """
    given = as_samples(None, states, sessions, groups)
    path, posterior = _read_states(given.y, n_states)
    rate = _check_rate(rate_hz)
    subjects = np.full(len(path), "") if given.groups is None else given.groups
    labels = np.zeros(len(path), dtype=int)
    if given.sessions is not None:
        labels = check_labels(given.sessions, len(path), "sessions")
    # two subjects may both have a session 1, and no visit goes on from one subject to the next
    pairs = pd.MultiIndex.from_arrays([subjects, labels]).factorize()[0]
    found = []
    for part in session_slices(check_sessions(pairs, len(path))):
        own = _of_session(path[part], posterior.shape[1], rate)
        own.insert(0, "occupancy", posterior[part].mean(axis=0))
        own.insert(0, "state", np.arange(posterior.shape[1]))
        own.insert(0, "session", labels[part.start])
        own.insert(0, "subject", subjects[part.start])
        found.append(own)
    return pd.concat(found, ignore_index=True)


def _read_states(values: Any, n_states: int | None) -> tuple[np.ndarray, np.ndarray]:
    """Most probable states (n_samples,), and probabilities (n_samples, n_states)."""
    array = np.asarray(values)
    if array.ndim not in (1, 2) or not array.size:
        raise DataError(
            "states have the wrong shape",
            expected="shape (n_samples,) or (n_samples, n_states), with samples",
            found=f"shape {array.shape}",
            field="states",
        )
    if array.ndim == 1:
        path = check_states(array)
        wanted = int(path.max()) + 1 if n_states is None else n_states
        if wanted <= path.max():
            raise DataError(
                "there are more states", expected=f"0 to {wanted - 1}", found=path.max(),
                field="states",
            )  # fmt: skip
        return path, np.eye(wanted)[path]
    sums = array.sum(axis=1)
    fits = np.isfinite(array).all() and (array >= 0).all() and n_states in (None, array.shape[1])
    if not fits or (np.abs(sums - 1) > _SUM_TOLERANCE).any():
        raise DataError(
            "states are not posterior probabilities",
            expected=f"{n_states or 'n_states'} columns of at least 0 that sum to 1 in each row",
            found=f"{array.shape[1]} columns from {array.min():g} that sum to {sums.min():g} "
            f"to {sums.max():g}",
            field="states",
        )
    return array.argmax(axis=1), array.astype(np.float64)


def _check_rate(rate_hz: float | None) -> float:
    if rate_hz is not None and not (np.isfinite(rate_hz) and rate_hz > 0):
        raise DataError(
            "this is no sampling rate", expected="hertz > 0", found=rate_hz, field="rate_hz"
        )
    return 1.0 if rate_hz is None else float(rate_hz)


def _of_session(path: np.ndarray, n_states: int, rate: float) -> pd.DataFrame:
    lengths, visited = visits_of(path)
    ends = np.cumsum(lengths)
    # visits of the same state side by side, in time order: a gap is from an end to the next start
    order = np.argsort(visited, kind="stable")
    again = visited[order][1:] == visited[order][:-1]
    gaps = ((ends - lengths)[order][1:] - ends[order][:-1])[again]
    n_visits = np.bincount(visited, minlength=n_states)
    n_gaps = np.bincount(visited[order][1:][again], minlength=n_states)
    spent = np.bincount(visited, weights=lengths, minlength=n_states)
    away = np.bincount(visited[order][1:][again], weights=gaps, minlength=n_states)
    with np.errstate(invalid="ignore"):
        columns = {"dwell": spent / n_visits / rate, "interval": away / n_gaps / rate}
        changes = np.float64(len(lengths) - 1) / np.float64(len(path) - 1)
    return pd.DataFrame(columns | {"n_visits": n_visits, "switching_rate": changes * rate})


def test_association(  # noqa: PLR0913 - the design, and how the work is done
    features: Any,
    target: Any,
    *,
    confounds: Any = None,
    exchange_within: ArrayLike | None = None,
    keep_together: ArrayLike | None = None,
    kind: str = "auto",
    n_permutations: int = 999,
    n_jobs: int | None = None,
    verbose: int = 0,
    random_state: RandomState = None,
) -> pd.DataFrame:
    """Test each feature against each target by permutations, corrected over all of them.

    The test asks of rows whether they could have come in another order. Rows may be

    - subjects: nothing more to say, or ``exchange_within=site``, or ``keep_together=family``;
    - sessions of several subjects: ``exchange_within=subject``;
    - trials of several sessions: ``exchange_within=session``, for targets that differ between the
      trials of a session; for targets of whole sessions, such as a drug,
      ``keep_together=session, exchange_within=subject``.

    Parameters
    ----------
    features : array-like or DataFrame of shape (n_rows, n_features)
        Numbers, such as occupancies of states. One column may be given as (n_rows,).
    target : array-like or DataFrame of shape (n_rows, n_targets)
        Numbers, or categories (text, or pandas' categories). One column may be given as (n_rows,).
    confounds : array-like or DataFrame of shape (n_rows, n_confounds), optional
        Numbers (indicators, for categories) whose linear effects are not to count.
    exchange_within : array-like of shape (n_rows,), optional
        Rows change places only with rows of the same label. Differences between the means of labels
        do not count either: the association is that within them.
    keep_together : array-like of shape (n_rows,), optional
        Rows of the same label depend on each other: they move as a block, in their order, to the
        place of a block of the same size.
    kind : {"auto", "correlation", "anova"}, default="auto"
        "correlation" is Pearson's, partial where there are confounds; "anova" the F statistic of
        the difference between categories. "auto" takes the first for numbers (also 0 and 1), and
        the second for categories.
    n_permutations : int, default=999
    n_jobs : int, optional
        Processes over permutations.
    verbose : int, default=0
        1 shows the progress.
    random_state : int, RandomState, Generator or None, default=None

    Returns
    -------
    DataFrame
        One row per ``feature`` and ``target`` (names of columns, or their places): ``kind``,
        ``statistic``, ``p`` (two-sided) and ``p_corrected``, which holds the probability of any
        false finding among all features and targets. All three are NaN for a feature that does not
        vary, or only with confounds.

    Raises
    ------
    DataError
        If values are missing, tables have other rows, a target does not vary where rows could be
        exchanged, no rows could be, or there are too few of them for the confounds.

    Notes
    -----
    Confounds are handled as by Freedman and Lane [1]_: the residuals of the features are permuted,
    and the full model is fitted anew to each permutation. Permuting residuals without this second
    regression gives too many findings; of the ways compared in [2]_ this one kept error rates best.
    Without confounds the test is exact, with them nearly so.

    The correction takes the largest statistic of each permutation. So that correlations and F
    statistics of different degrees of freedom count alike, each is first put on the scale of its
    own p-value under normality; whether that holds touches the balance between targets, not the
    error rate.

    References
    ----------
    .. [1] D. Freedman and D. Lane (1983). A nonstochastic interpretation of reported significance
       levels. Journal of Business & Economic Statistics 1.
    .. [2] A. M. Winkler, G. R. Ridgway, M. A. Webster, S. M. Smith and T. E. Nichols (2014).
       Permutation inference for the general linear model. NeuroImage 92.

    Examples
    --------
    >>> import numpy as np
    >>> from neuroml.evaluation import test_association
    >>> rng = np.random.default_rng(0)
    >>> age = rng.normal(size=60)
    >>> occupancy = np.column_stack([age + rng.normal(size=60), rng.normal(size=60)])
    >>> found = test_association(occupancy, age, random_state=0)
    >>> (found["p_corrected"] < 0.05).tolist()
    [True, False]
    """
    check_option(kind, ("auto", "correlation", "anova"), "kind")
    if not isinstance(n_permutations, int | np.integer) or n_permutations < 1:
        raise DataError(
            "this is no number of permutations",
            expected="an integer of at least 1",
            found=repr(n_permutations),
            field="n_permutations",
        )
    _check_rows_agree(
        {
            "features": features,
            "target": target,
            "confounds": confounds,
            "exchange_within": exchange_within,
            "keep_together": keep_together,
        }
    )
    measured = _read_table(features, "features")
    values = _all_numbers(measured, "features")
    exchange = Exchange.of(exchange_within, keep_together, len(values))
    targets = _read_table(target, "target", len(values))
    read = {name: _read_target(targets[name], name, kind) for name in targets.columns}
    design = Design.of(read, _read_confounds(confounds, len(values)), exchange.blocks)
    residuals = design.residuals(values)
    lengths = np.linalg.norm(residuals, axis=0)
    varies = lengths > NOTHING * np.linalg.norm(values, axis=0)
    # columns of length one, so that the total sum of squares is 1
    scaled = residuals[:, varies] / lengths[varies]
    size = int(np.clip(_CHUNK // max(scaled.size, 1), 1, n_permutations))
    sizes = np.diff(np.append(np.arange(0, n_permutations, size), n_permutations))
    tasks = [
        (rng, int(n), scaled, design, exchange)
        for rng, n in zip(spawn_generators(random_state, len(sizes)), sizes, strict=True)
    ]
    done = run_parallel(_permuted, tasks, n_jobs=n_jobs)
    null = np.concatenate(list(show_progress(done, len(tasks), "permutations", verbose)))
    observed = design.shares(scaled[None])[0]
    found = np.full((3, len(design.columns), len(varies)), np.nan)
    found[0][:, varies] = design.statistics(scaled, observed)
    found[1][:, varies] = permutation_p_value(observed, null)
    if varies.any():
        largest = design.surprise(null.max(axis=2, keepdims=True)).max(axis=1, keepdims=True)
        found[2][:, varies] = permutation_p_value(design.surprise(observed), largest)
    return _as_frame(found, list(measured.columns), list(targets.columns), design)


# pytest would collect it wherever it is imported by its name
test_association.__test__ = False  # type: ignore[attr-defined]


def _as_frame(
    found: np.ndarray, features: list[Any], targets: list[Any], design: Design
) -> pd.DataFrame:
    places = [(f, t) for f in range(len(features)) for t in range(len(targets))]
    table: dict[str, Any] = {"feature": [features[f] for f, _ in places]}
    table["target"] = [targets[t] for _, t in places]
    table["kind"] = [design.kinds[t] for _, t in places]
    for name, values in zip(("statistic", "p", "p_corrected"), found, strict=True):
        table[name] = values.T.ravel()
    return pd.DataFrame(table)


def _permuted(
    rng: np.random.Generator,
    n_permutations: int,
    residuals: np.ndarray,
    design: Design,
    exchange: Exchange,
) -> np.ndarray:
    """Shares of variance (n_permutations, n_targets, n_features) of features in other orders."""
    return design.shares(residuals[exchange.draw(rng, n_permutations)])


def _read_table(values: Any, field: str, n_rows: int | None = None) -> pd.DataFrame:
    """A table of columns of any type; levels of their names are joined ("occupancy 0")."""
    if isinstance(values, pd.DataFrame) and values.columns.nlevels > 1:
        values = values.set_axis([" ".join(map(str, name)) for name in values.columns], axis=1)
    given = as_given(values, field)
    if isinstance(given, pd.Series):
        given = given.to_frame()
    try:
        if is_mapping(given) or np.ndim(given) > 2:
            raise ValueError
        table = pd.DataFrame(given)
    except ValueError as error:
        raise DataError(
            f"{field} are not a table",
            expected="shape (n_rows,) or (n_rows, n_columns)",
            found=f"shape {given.shape}" if hasattr(given, "shape") else type(given).__name__,
            field=field,
        ) from error
    if not table.size or len(table) != (len(table) if n_rows is None else n_rows):
        raise DataError(
            f"{field} have the wrong shape",
            expected=f"{n_rows or 'some'} rows, and a column",
            found=f"shape {table.shape}",
            field=field,
        )
    return table


def _check_rows_agree(given: dict[str, Any]) -> None:
    """Refuse tables whose rows have other names, or the same in another order."""
    named = {k: v.index for k, v in given.items() if isinstance(v, pd.DataFrame | pd.Series)}
    for field, index in named.items():
        first, wanted = next(iter(named.items()))
        if not index.equals(wanted):
            raise DataError(
                "rows have other names, or another order",
                expected=f"the index of {first}, {list_some(list(wanted[:3]))}, ...",
                found=f"{list_some(list(index[:3]))}, ...",
                fix=f"Sort by name ({field}.loc[{first}.index]), or give .to_numpy() of both if "
                "they are in the same order.",
                field=field,
            )


def _all_numbers(table: pd.DataFrame, field: str) -> np.ndarray:
    """Finite numbers (n_rows, n_columns)."""
    columns = [as_numbers(table[name], f"{field}[{name!r}]") for name in table.columns]
    values = np.column_stack(columns).astype(np.float64)
    missing = (~np.isfinite(values)).sum(axis=0)
    if missing.any():
        which = [f"{n} in {name!r}" for name, n in zip(table.columns, missing, strict=True) if n]
        raise DataError(
            "some values are missing or infinite",
            expected=f"a number in each of {len(values)} rows",
            found=", ".join(which[:5]) + (", ..." if len(which) > 5 else ""),
            fix="Leave out these rows of all tables, or these columns.",
            field=field,
        )
    return values


def _read_confounds(confounds: Any, n_rows: int) -> np.ndarray:
    if confounds is None:
        return np.empty((n_rows, 0))
    return _all_numbers(_read_table(confounds, "confounds", n_rows), "confounds")


def _read_target(column: pd.Series, name: Any, kind: str) -> tuple[str, np.ndarray]:
    """What to compute, and the target as numbers (n_rows, 1) or indicators of categories."""
    text = column.dtype == object or isinstance(column.dtype, pd.StringDtype)
    text = text and any(isinstance(value, str) for value in column)
    named = text or isinstance(column.dtype, pd.CategoricalDtype)
    if kind == "correlation" or (kind == "auto" and not named):
        return "correlation", _all_numbers(column.to_frame(), "target")
    labels = check_labels(column.astype(object), len(column), f"target[{name!r}]")
    codes, levels = pd.factorize(labels)
    return "anova", np.eye(len(levels))[codes]
