"""From a cohort's traces to the units that interact, when, and in which subjects."""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sklearn.base import (
    ClassNamePrefixFeaturesOutMixin,
)
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted

from neuroml._core.estimator import (
    RANDOM_STATE,
    Estimator,
    Interval,
    StrOptions,
    TableOutputMixin,
    validated_fit,
)
from neuroml._core.frames import Quantity, feature_labels, long_frame
from neuroml._core.parallel import RandomState, run_parallel, spawn_generators
from neuroml._core.recording import break_points
from neuroml._core.validation import check_sample_weight
from neuroml.connectome._affinity import METHODS
from neuroml.connectome.affinity_tensor import AffinityTensor
from neuroml.connectome.nonnegative_cp import NonnegativeCP
from neuroml.connectome.weighted_sbm import WeightedSBM
from neuroml.exceptions import DataError

__all__ = ["DynamicConnectome"]


class DynamicConnectome(ClassNamePrefixFeaturesOutMixin, TableOutputMixin, Estimator):
    """Motifs of connectivity with their time courses, loadings of subjects, and communities.

    It takes three steps, as in [1]_: `AffinityTensor` of all pairs of units, subjects and samples;
    `NonnegativeCP` of that tensor; `WeightedSBM` of every component's matrix. Two of them are not
    those of the paper: its block model is nested, with a hierarchy of blocks, and this one is not;
    and the default affinity keeps the signs of derivatives, where the paper compares their absolute
    values by a formula that it does not give. Use the three by themselves for options that are not
    among the parameters here; see `published` for the settings of the paper, as far as known.

    Parameters
    ----------
    n_components : int, default=4
        Number of components; `select_rank` helps to choose it.
    method : {"unsigned", "same_sign", "min", "ratio", "mtd", "correlation", "edge"}
        Affinity, as in `AffinityTensor`; "mtd" by default. Affinities that are averages over
        windows are the most robust to noise.
    sigma : float, default=2.0
        Width of the derivative's Gaussian, in samples.
    window, stride : int, default=15, 1
        Length of the affinity's windows, and number of samples from one value to the next.
    min_subjects : int, default=1
        Minimum number of subjects that have both units of a pair; other pairs are left out, and are
        NaN in the motifs.
    ridge : float, default=1e-3
        Ridge penalty of `NonnegativeCP`.
    background : {"none", "mean", "rank-one"}, default="none"
        Connectivity that is there all the time in a subject, as in `NonnegativeCP`: taken off, it
        fills no component.
    n_init : int, default=5
        Number of starts of the factorization.
    max_iter : int, default=500
        Maximum number of iterations of the factorization.
    max_blocks : int, default=20
        Maximum number of blocks of each `WeightedSBM`.
    activity : float, default=0.5
        A component is active while its time course exceeds this share of its largest value, and in
        the subjects whose loading exceeds this share of the largest loading.
    n_jobs : int or None, default=None
        Number of processes, over components, for the communities.
    random_state : int, RandomState, Generator or None, default=None

    Attributes
    ----------
    motifs_ : ndarray of shape (n_components, n_units, n_units)
        Symmetric pattern of each component, of unit norm over pairs; NaN on the diagonal and for
        pairs that were left out.
    time_courses_ : ndarray of shape (n_times, n_components)
        Strength of each component over time, of unit norm.
    subject_loadings_ : ndarray of shape (n_subjects, n_components)
        Strength of each component in each subject; `transform` gives those of others.
    subjects_ : ndarray of shape (n_subjects,)
        Names of the subjects, in the order of their loadings.
    times_ : ndarray of int of shape (n_times,)
        The sample of each entry of `time_courses_`.
    communities_ : ndarray of int of shape (n_components, n_units)
        Community of each unit in each component, the strongest first; -1 for units in none, that
        is, in blocks that are no more strongly connected inside than the motif is on average.
    table_ : DataFrame
        One row for each component, interval and community: ``component``, ``start`` and ``stop``
        (samples, the last one excluded), ``subjects``, ``community`` and ``units``; -1 and no units
        for a component without communities.
    affinity_ : AffinityTensor
    factorization_ : NonnegativeCP
    block_models_ : list of WeightedSBM
    converged_ : bool
        Whether the factorization and all block models converged.
    n_iter_ : int
        Number of iterations of the factorization.
    n_features_in_ : int
        Number of units.

    See Also
    --------
    select_rank : chooses ``n_components``.
    surrogate_test : tests whether components are more than chance.
    reliability : measures whether they recur in other subjects.

    Notes
    -----
    All subjects must share one time axis, as under the same sequence of stimuli. For recordings at
    rest, where nothing happens at the same time, the time courses mean nothing across subjects.

    Pairs that share a unit have similar affinities even where units are unrelated, so that a motif
    of noise can have two blocks: `surrogate_test` tests whether there is more than that.

    References
    ----------
    .. [1] L. Dyballa et al. (2024). Learning dynamic representations of the functional connectome
       in neurobiological networks. ICLR.

    Examples
    --------
    >>> from neuroml.connectome import DynamicConnectome
    >>> from neuroml.simulate import make_dynamic_communities
    >>> truth = make_dynamic_communities(30, 8, 160, n_communities=2, n_active_subjects=5,
    ...                                  random_state=0)
    >>> model = DynamicConnectome(n_components=2, random_state=0).fit(truth.X)
    >>> model.motifs_.shape, model.time_courses_.shape, model.subject_loadings_.shape
    ((2, 30, 30), (160, 2), (8, 2))
    >>> model.transform(truth.X[:3]).shape
    (3, 2)
    """

    _parameter_constraints = {
        "n_components": [Interval(Integral, 1, None, closed="left")],
        "method": [StrOptions(set(METHODS))],
        "sigma": [Interval(Real, 0, None, closed="neither")],
        "window": [Interval(Integral, 2, None, closed="left")],
        "stride": [Interval(Integral, 1, None, closed="left")],
        "min_subjects": [Interval(Integral, 1, None, closed="left")],
        "ridge": [Interval(Real, 0, None, closed="left")],
        "background": [StrOptions({"none", "mean", "rank-one"})],
        "n_init": [Interval(Integral, 1, None, closed="left")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "max_blocks": [Interval(Integral, 1, None, closed="left")],
        "activity": [Interval(Real, 0, 1, closed="both")],
        "n_jobs": [Integral, None],
        "random_state": RANDOM_STATE,
    }

    def __init__(  # noqa: PLR0913 - one keyword for each parameter
        self,
        n_components: int = 4,
        *,
        method: str = "mtd",
        sigma: float = 2.0,
        window: int = 15,
        stride: int = 1,
        min_subjects: int = 1,
        ridge: float = 1e-3,
        background: str = "none",
        n_init: int = 5,
        max_iter: int = 500,
        max_blocks: int = 20,
        activity: float = 0.5,
        n_jobs: int | None = None,
        random_state: RandomState = None,
    ) -> None:
        self.n_components = n_components
        self.method = method
        self.sigma = sigma
        self.window = window
        self.stride = stride
        self.min_subjects = min_subjects
        self.ridge = ridge
        self.background = background
        self.n_init = n_init
        self.max_iter = max_iter
        self.max_blocks = max_blocks
        self.activity = activity
        self.n_jobs = n_jobs
        self.random_state = random_state

    @classmethod
    def published(cls, **overrides: Any) -> DynamicConnectome:
        """Make the estimator with the settings of Dyballa et al. (2024), as far as known.

        The paper compares absolute derivatives (``method="unsigned"``) and factorizes without
        penalties (``ridge=0``). It does not report the formula of the affinity, the width of the
        smoothing, the number of components, or restarts; ``n_init=30`` and ``max_iter=1000`` are
        those of the same laboratory's code for another data set. Blocks are found by
        `WeightedSBM`, in place of the paper's nested model.

        Parameters
        ----------
        **overrides
            Any parameter of the class.

        Examples
        --------
        >>> from neuroml.connectome import DynamicConnectome
        >>> DynamicConnectome.published(n_components=6).method
        'unsigned'
        """
        settings: dict[str, Any] = {
            "method": "unsigned",
            "ridge": 0.0,
            "n_init": 30,
            "max_iter": 1000,
        }
        return cls(**(settings | overrides))

    @validated_fit
    def fit(
        self,
        X: Any,
        y: Any = None,
        *,
        sessions: ArrayLike | None = None,
        groups: ArrayLike | None = None,
    ) -> DynamicConnectome:
        """Factorize a cohort.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_units) or (n_subjects, n_samples, n_units), or list
            An array, DataFrame, DataArray, recording or torch tensor; masked entries are NaN.
            A list has one for each subject; a dict one, or a list of sessions, for each subject.
            Time first. A unit is NaN throughout in a subject where it was not recorded
            (`neuroml.data.align_units` fills it in).
        y : ignored
        sessions : array-like of shape (n_samples,), optional
            Session label of each sample.
        groups : array-like of shape (n_samples,), optional
            Subject of each sample. By default each session is a subject.

        Returns
        -------
        self

        Raises
        ------
        DataError
            As in `AffinityTensor.fit` and `NonnegativeCP.fit`, and if a unit is in no pair that
            ``min_subjects`` subjects have.

        Warns
        -----
        NotConvergedWarning
            If the factorization or a block model did not converge.
        """
        seeds = [
            int(rng.integers(2**31))
            for rng in spawn_generators(self.random_state, 1 + self.n_components)
        ]
        self.affinity_ = AffinityTensor(
            self.method,
            sigma=self.sigma,
            window=self.window,
            stride=self.stride,
            min_subjects=self.min_subjects,
        )
        tensor = self.affinity_.fit_transform(X, sessions=sessions, groups=groups)
        self.n_features_in_ = self.affinity_.n_features_in_
        self.__dict__.pop("feature_names_in_", None)
        if hasattr(self.affinity_, "feature_names_in_"):
            self.feature_names_in_ = self.affinity_.feature_names_in_
        self.factorization_ = NonnegativeCP(
            self.n_components,
            n_init=self.n_init,
            max_iter=self.max_iter,
            ridge=self.ridge,
            background=self.background,
            sample_mode=1,
            random_state=seeds[0],
        ).set_output(transform="default")
        self.factorization_.fit(tensor)
        pairs, subjects, times = self.factorization_.cp_.factors
        self.motifs_ = np.full(
            (self.n_components, self.n_features_in_, self.n_features_in_), np.nan
        )
        # factor of the pairs, back as symmetric matrices
        i, j = self.affinity_.pairs_.T
        self.motifs_[:, i, j] = self.motifs_[:, j, i] = pairs.T
        self.time_courses_ = times
        self.subject_loadings_ = subjects * self.factorization_.cp_.weights
        tasks = [
            (motif, self.max_blocks, seed)
            for motif, seed in zip(self.motifs_, seeds[1:], strict=True)
        ]
        self.block_models_ = list(run_parallel(fit_blocks, tasks, n_jobs=self.n_jobs))
        self.communities_ = np.stack(
            [communities_of(*both) for both in zip(self.block_models_, self.motifs_, strict=True)]
        )
        self.converged_ = all(one.converged_ for one in (self.factorization_, *self.block_models_))
        self.n_iter_ = self.factorization_.n_iter_
        self.subjects_, self.times_ = (np.asarray(labels) for labels in tensor.labels[1:3])
        self.table_ = self._tabulate(self.subjects_, self.times_)
        self._n_features_out = self.n_components
        return self

    @property
    def _rows_are_samples(self) -> bool:
        return False  # they are subjects

    def transform(
        self, X: Any, *, sessions: ArrayLike | None = None, groups: ArrayLike | None = None
    ) -> np.ndarray:
        """Compute the loadings of subjects on the components.

        Parameters
        ----------
        X, sessions, groups
            As in `fit`, on the same time axis; the subjects may be others.

        Returns
        -------
        ndarray of shape (n_subjects, n_components)
            The exact non-negative least-squares solution, from the pairs that a subject has; NaN
            for a subject without any.
        """
        return self.factorization_.transform(self._tensor(X, sessions, groups))

    def score(
        self,
        X: Any,
        y: Any = None,
        *,
        sessions: ArrayLike | None = None,
        groups: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
    ) -> float:
        """Return minus the relative error of the affinities, with only subjects' loadings fitted.

        Parameters
        ----------
        X, sessions, groups
            As in `transform`.
        y : ignored
        sample_weight : array-like of shape (n_samples,) or (n_subjects,), optional
            Weights of the subjects: the same in all samples of a subject, since the loadings that
            are fitted are those of subjects.

        Returns
        -------
        float

        Raises
        ------
        DataError
            As in `transform`, and if weights do not fit, differ within a subject, are not finite
            or negative, or are all zero.
        """
        tensor = self._tensor(X, sessions, groups)
        if sample_weight is not None:
            sample_weight = _by_subject(
                sample_weight, self.affinity_.samples_of_subjects(X, sessions, groups)
            )
        return self.factorization_.score(tensor, sample_weight=sample_weight)

    def _tensor(self, X: Any, sessions: ArrayLike | None, groups: ArrayLike | None) -> Any:
        check_is_fitted(self)
        return self.affinity_.transform(X, sessions=sessions, groups=groups)

    def _tabulate(self, subjects: np.ndarray, times: np.ndarray) -> pd.DataFrame:
        names = np.asarray(getattr(self, "feature_names_in_", np.arange(self.n_features_in_)))
        rows = []
        for r, found in enumerate(self.communities_):
            loading = self.subject_loadings_[:, r]
            who = [str(a) for a in subjects[loading > self.activity * loading.max()]]
            for start, stop in self._intervals(self.time_courses_[:, r], times):
                for k in range(max(found.max() + 1, 1)):
                    community = k if k in found else -1
                    units = [str(name) for name in names[found == k]]
                    rows.append((r, start, stop, ", ".join(who), community, ", ".join(units)))
        columns = ["component", "start", "stop", "subjects", "community", "units"]
        return pd.DataFrame(rows, columns=columns)

    def _intervals(self, course: np.ndarray, times: np.ndarray) -> list[tuple[int, int]]:
        """First and one-past-last sample of every stretch in which a component is active."""
        active = course > self.activity * course.max()
        starts = break_points(active)
        stops = [*starts[1:], len(active)]
        return [
            (int(times[a]), int(times[b - 1]) + self.stride)
            for a, b in zip(starts, stops, strict=True)
            if active[a]
        ]

    def to_frame(self) -> pd.DataFrame:
        """Return motifs, time courses, loadings and communities as one tidy table.

        Returns
        -------
        DataFrame
            One value per row: ``quantity``, ``component``, ``unit`` and ``to_unit`` (names or
            numbers of columns of X), ``time`` (sample), ``subject``, ``value``. Quantities:
            "motif" of each pair that was used, "time_course", "loading" of each subject,
            "community" of each unit.
        """
        check_is_fitted(self)
        units, components = feature_labels(self), range(len(self.motifs_))
        i, j = self.affinity_.pairs_.T
        pairs = {"unit": [units[a] for a in i], "to_unit": [units[b] for b in j]}
        found = [
            Quantity("motif", motif[i, j], pairs, fixed={"component": r}, paired=True)
            for r, motif in enumerate(self.motifs_)
        ]
        for name, values, axes in (
            ("time_course", self.time_courses_.T, {"time": self.times_}),
            ("loading", self.subject_loadings_.T, {"subject": self.subjects_}),
            ("community", self.communities_, {"unit": units}),
        ):
            found.append(Quantity(name, values, {"component": components, **axes}))
        return long_frame(found)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.three_d_array = True
        return tags


def _by_subject(sample_weight: Any, subjects: list[np.ndarray]) -> np.ndarray:
    """One weight for each subject, given the samples of each."""
    n_given = len(sample_weight) if hasattr(sample_weight, "__len__") else 0
    if n_given == len(subjects):
        return check_sample_weight(sample_weight, n_given)
    weights = check_sample_weight(sample_weight, sum(len(rows) for rows in subjects))
    if any(np.ptp(weights[rows]) > 0 for rows in subjects):
        raise DataError(
            "the weights change within a subject",
            expected="the same weight for all samples of a subject",
            found=f"{len(np.unique(weights))} weights for {len(subjects)} subjects",
            fix="Give each subject one weight: the score is over subjects.",
            field="sample_weight",
        )
    return np.array([weights[rows[0]] for rows in subjects])


def fit_blocks(motif: np.ndarray, max_blocks: int = 20, seed: int = 0) -> WeightedSBM:
    """The block model of a component's matrix (n_units, n_units)."""
    return WeightedSBM(max_blocks=max_blocks, random_state=seed).fit(motif)


def communities_of(model: WeightedSBM, motif: np.ndarray) -> np.ndarray:
    """Labels of the blocks that are more connected inside than the motif on average, else -1."""
    strong = np.flatnonzero(np.diag(model.block_means_) > np.nanmean(motif))
    number = np.full(model.n_blocks_, -1)
    number[strong] = np.arange(len(strong))
    return number[model.labels_] if model.n_blocks_ > 1 else np.full(len(motif), -1)
