"""Populations of spiking neurons whose couplings switch with a hidden state."""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sklearn.utils.validation import check_is_fitted

from neuroml._core.covariates import check_covariates, set_covariate_scales, standardized
from neuroml._core.estimator import (
    RANDOM_STATE,
    Interval,
    StrOptions,
    check_option,
    validated_fit,
)
from neuroml._core.frames import feature_labels
from neuroml._core.iteration import FitTrace, best_restart, select_restart
from neuroml._core.parallel import RandomState, spawn_generators
from neuroml._core.recording import break_points
from neuroml._core.samples import check_samples
from neuroml._core.validation import check_sessions, session_slices, set_or_forget
from neuroml.exceptions import DataError
from neuroml.simulate.switching_spikes import draw_counts, draw_states
from neuroml.switching._base import SwitchingModel
from neuroml.switching._chain import Chain, ChainPrior
from neuroml.switching._em import (
    Model,
    Problem,
    fit_em,
    fit_from_random_start,
    fit_single_state,
    smooth_model,
)
from neuroml.switching._kernels.links import LIKELIHOODS
from neuroml.switching._null_models import NULLS
from neuroml.switching._observations.counts import check_counts, check_fittable
from neuroml.switching._observations.history import basis_functions, history
from neuroml.switching._observations.population import (
    Couplings,
    PopulationCounts,
    PopulationData,
)
from neuroml.switching._parameters import population_frame
from neuroml.switching._ridge import choose_ridge
from neuroml.switching._subjects import check_subjects

__all__ = ["SwitchingPopulationGLM"]

# The one-state model, where all starts begin: fitted to below what `tol` asks for by default.
_GLM_MAX_ITER, _GLM_TOL = 100, 1e-8
# Iterations of every random start before the best one goes on alone. A choice between time and the
# risk of dropping a slow start; not tuned.
_WARM_UP = 20
# Least precision of the weights' prior in these iterations, a deviation of 1: the scale of the
# strengths in the authors' simulations, log(1 + 3 u) with u uniform.
_WARM_UP_RIDGE = 1.0
# Default prior_scale: the authors' deviation of weights between states, and a typical strength.
_PRIOR_SCALES = {"none": 1.0, "gaussian": 1.0 / 3.0, "one-hot": 1.0, "relaxed-one-hot": 1.0}
# What the authors' fit has not: settings at which these play no part.
_RELAXED = {"ridge": 0.0, "n_init": 1, "n_basis": 1, "concentration": 1.0, "stickiness": 0.0}

# Total of the Dirichlet distribution that a pair's sign probabilities have: the authors' of their
# simulations, and none, at which all states have one sign.
_SIGN_CONCENTRATIONS = {"probabilities": 2.0, "signs": 0.0}


class SwitchingPopulationGLM(SwitchingModel):
    r"""GLM of a spiking population with spike-history couplings that switch between hidden states.

    .. math::
        y_{ti} \sim \mathrm{Poisson}\Big(f\big(b_{z_t i} + \sum_j w_{z_t ij}
            \sum_{l=1}^{L} h_{jl}\, y_{t-l,j} + \sum_c v_{z_t ic}\, x_{tc}\big)\Big)

    where the state :math:`z_t` is a Markov chain, and :math:`x` are covariates, if there are any:
    stimuli or behavior, in standard deviations from their means. All sessions are pooled in every
    step of EM, and the objective (log-likelihood plus log-priors, per bin) never falls.

    Parameters
    ----------
    n_states : int, default=3
        1 is the ordinary GLM.
    n_lags : int, default=5
        Bins of history.
    family : {"poisson", "bernoulli"}, default="poisson"
        Counts, or whether a unit fired in a bin (0 or 1), with the logistic function as f.
    link : {"softplus", "exp", "sigmoid"}, default="softplus"
        The function f of counts; "sigmoid" bounds rates by one spike per bin. It has no part in
        the Bernoulli family.
    shared_intercept : bool, default=False
        Whether a unit has one intercept for all states.
    prior : {"none", "gaussian", "one-hot", "relaxed-one-hot"}, default="none"
        Prior of the weights. "gaussian": a pair's weights scatter over states around a mean that is
        learned, with standard deviation ``prior_scale``. "one-hot" (after Li et al. 2024): a pair
        is inhibitory, not connected or excitatory, see `sign_sharing`, with a strength that depends
        on the state; the prior enters once per data set, and signs are summed out exactly.
        "relaxed-one-hot": as these authors fit it, see `published`.
    sign_sharing : {"probabilities", "signs"}, default="probabilities"
        What states share in "one-hot": the probabilities of a pair's signs, from which every state
        draws its own, or the sign itself (see Notes).
    prior_scale : float or None, default=None
        For "one-hot" the typical strength of a connection. None: 1/3 for "gaussian" (the authors'
        value), 1 for "one-hot".
    ridge : float or "auto", default="auto"
        Precision of a further Gaussian prior of all couplings around zero, in nats per squared
        weight. "auto" is the one of .01, .1, 1, 10, 100, 1000 under which held-out bins are most
        likely after 20 iterations of one start: every fifth session, or, of fewer than five
        sessions, every fifth of ten blocks of each. A fit then takes two to three times as long.
    covariate_ridge : float, default=0.01
        Precision of the Gaussian prior of covariates' weights around zero.
    basis : {"exponential", "raised-cosine", "lags"}, default="exponential"
        Functions of the lag, see `n_basis`. "lags" has one per lag, so ``n_basis=n_lags``.
    n_basis : int, default=1
        With one function, it is every unit's filter. With more, each sending unit's filter is a
        mixture of them that is learned with the weights; it is non-negative and sums to one.
    concentration : float, default=1.0
        Concentration of the Dirichlet prior of first states and of the rows of the transition
        matrix; 1 is flat.
    stickiness : float, default=0.0
        Pseudo-transitions of every state to itself.
    n_init : int, default=5
        Random starts near the GLM of a single state. Each takes up to 20 iterations with a
        Gaussian prior around zero; the best of them goes on, under the prior asked for.
    max_iter : int, default=300
    tol : float, default=1e-5
        Iterations end when one gains at most this many nats per bin.
    dtype : {"float32", "float64"}, default="float32"
        Precision of features, products, rates and log-probabilities of single counts; sums over
        units and bins and the recursions over time are float64 either way.
    n_jobs : int or None, default=None
        Processes for the random starts.
    random_state : int, RandomState, Generator or None
    verbose : int, default=0
        1 shows a bar over starts, with the time that is left.

    Attributes
    ----------
    weights_ : ndarray of shape (n_states, n_units, n_units)
        Entry k, i, j is the coupling from unit j to unit i in state k; states in falling order of
        occupancy.
    intercept_ : ndarray of shape (n_states, n_units)
        With covariates, at their means.
    covariate_weights_ : ndarray of shape (n_states, n_units, n_covariates)
        What one standard deviation of a covariate adds. This and the next three only with
        covariates.
    covariate_mean_, covariate_sd_ : ndarray of shape (n_covariates,)
        Of the training bins.
    covariate_names_ : list of str
        Names of the covariates' columns, if they were a table; later ones are put into this order.
    filters_ : ndarray of shape (n_units, n_lags)
        Each sending unit's filter, of sum one; column l is lag l + 1.
    connection_probability_ : ndarray of shape (n_units, n_units, 3)
        Posterior of a pair being inhibitory, not connected, excitatory, averaged over states; for
        "relaxed-one-hot" the shared probabilities. Only with these priors.
    filter_mix_ : ndarray of shape (n_units, n_basis)
        Proportions of the basis functions in the filters.
    transition_matrix_ : ndarray of shape (n_states, n_states)
    initial_proba_ : ndarray of shape (n_states,)
        Probability of the states in the first bin of a session.
    occupancy_ : ndarray of shape (n_states,)
        Share of the training bins.
    subject_occupancy_ : DataFrame of shape (n_subjects, n_states)
        Share of each subject's training bins. Only where subjects are known.
    ridge_ : float
        The ridge of the fit, given or chosen.
    glm_weights_, glm_intercept_ : ndarray of shape (n_units, n_units) and (n_units,)
        The GLM of a single state, where the random starts begin and what `score_bits` compares to.
    glm_filter_mix_ : ndarray of shape (n_units, n_basis)
        Proportions of the basis functions in its filters.
    glm_covariate_weights_ : ndarray of shape (n_units, n_covariates)
        Its weights of covariates. Only with covariates.
    objective_trace_ : ndarray
        The objective of the kept start in nats per bin, from where the prior asked for applies;
        larger is better.
        With ``prior="none"`` and ``ridge=0`` it is the log-likelihood.
    restart_objectives_ : ndarray of shape (n_init,)
        What the starts reached before the best one went on; larger is better.
    n_iter_ : int
    converged_ : bool
    n_features_in_ : int
        Number of units.

    See Also
    --------
    SwitchingGLM : one observed variable driven by inputs, such as choices.
    neuroml.data.raised_cosine_basis, neuroml.data.bspline_basis, neuroml.data.convolve_basis :
        covariates from a stimulus or a behavior.
    neuroml.simulate.make_switching_spikes : data with a known truth.

    Notes
    -----
    Which prior? On simulated data of the design of Li et al. (`make_switching_spikes`: 20 units, 5
    states, a fifth of the pairs connected), with ``ridge="auto"``, 40,000 new bins have, in nats
    per bin and as means over four training sets of each of two simulated populations,

    ============================  ================  ================
    fitted to 2,000 bins          population 1      population 2
    ============================  ================  ================
    "one-hot", "probabilities"    -18.838           -18.324
    "one-hot", "signs"            -18.840           -18.325
    "gaussian"                    -18.867           -18.329
    "none"                                          -18.344
    `published`                   -19.260
    ============================  ================  ================

    and fitted to 6,000 bins of the first (means of two) -18.583, -18.606, -18.627, -18.638 and
    -19.069. So sharing probabilities is the default of `sign_sharing`. With ``ridge=0.01`` the
    one-hot prior is worse than "gaussian" (-19.446 for -18.966): keep the ridge that the fit
    chooses. `neuroml.switching.select_by_sessions` chooses among priors.

    In "one-hot" a weight is :math:`N(m s, \sigma_s^2)` around its sign s of -1, 0 or 1, with m the
    ``prior_scale``, :math:`\sigma_s` m / 2, and m / 10 where s is 0. With
    ``sign_sharing="probabilities"`` each state draws its sign :math:`s_k` from probabilities of the
    pair, which come from a Dirichlet distribution with total c = 2, as in the authors' simulations,
    and proportions :math:`\rho` that are learned. All are summed out exactly, also over the
    probabilities:

    .. math::
        p(w_{1ij} \dots w_{Kij}) = \sum_{s_1 \dots s_K} \frac{\Gamma(c)}{\Gamma(c + K)}
            \prod_s \frac{\Gamma(c \rho_s + n_s)}{\Gamma(c \rho_s)}
            \prod_k N(w_{kij} | m s_k, \sigma_{s_k}^2)

    where :math:`n_s` counts the states with sign s. ``sign_sharing="signs"`` is the limit of
    c = 0: one sign in all states.

    The first fit in a new environment compiles its loops, which takes about 4 seconds on one
    thread; the machine code is kept on disk.

    References
    ----------
    Li, Li, Wang and Wu (2024). One-hot generalized linear model for switching brain state
    discovery. ICLR.

    Examples
    --------
    >>> from neuroml.simulate import make_switching_spikes
    >>> from neuroml.switching import SwitchingPopulationGLM
    >>> data = make_switching_spikes(6, 2, n_sessions=5, n_bins=400, random_state=0)
    >>> model = SwitchingPopulationGLM(2, link="sigmoid", random_state=0)
    >>> model.fit(data.spikes, sessions=data.sessions).weights_.shape
    (2, 6, 6)
    """

    _observed = "spikes"
    _parameter_constraints = {
        "n_states": [Interval(Integral, 1, None, closed="left")],
        "n_lags": [Interval(Integral, 1, None, closed="left")],
        "family": [StrOptions({"poisson", "bernoulli"})],
        "link": [StrOptions({"softplus", "exp", "sigmoid"})],
        "shared_intercept": ["boolean"],
        "prior": [StrOptions(set(_PRIOR_SCALES))],
        "sign_sharing": [StrOptions(set(_SIGN_CONCENTRATIONS))],
        "prior_scale": [Interval(Real, 0, None, closed="neither"), None],
        "ridge": [Interval(Real, 0, None, closed="left"), StrOptions({"auto"})],
        "covariate_ridge": [Interval(Real, 0, None, closed="left")],
        "basis": [StrOptions({"exponential", "raised-cosine", "lags"})],
        "n_basis": [Interval(Integral, 1, None, closed="left")],
        "concentration": [Interval(Real, 1, None, closed="left")],
        "stickiness": [Interval(Real, 0, None, closed="left")],
        "n_init": [Interval(Integral, 1, None, closed="left")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0, None, closed="left")],
        "dtype": [StrOptions({"float32", "float64"})],
        "n_jobs": [Integral, None],
        "random_state": RANDOM_STATE,
        "verbose": ["verbose"],
    }

    def __init__(  # noqa: PLR0913
        self,
        n_states: int = 3,
        n_lags: int = 5,
        *,
        family: str = "poisson",
        link: str = "softplus",
        shared_intercept: bool = False,
        prior: str = "none",
        sign_sharing: str = "probabilities",
        prior_scale: float | None = None,
        ridge: float | str = "auto",
        covariate_ridge: float = 0.01,
        basis: str = "exponential",
        n_basis: int = 1,
        concentration: float = 1.0,
        stickiness: float = 0.0,
        n_init: int = 5,
        max_iter: int = 300,
        tol: float = 1e-5,
        dtype: str = "float32",
        n_jobs: int | None = None,
        random_state: RandomState = None,
        verbose: int = 0,
    ) -> None:
        self.n_states = n_states
        self.n_lags = n_lags
        self.family = family
        self.link = link
        self.shared_intercept = shared_intercept
        self.prior = prior
        self.sign_sharing = sign_sharing
        self.prior_scale = prior_scale
        self.ridge = ridge
        self.covariate_ridge = covariate_ridge
        self.basis = basis
        self.n_basis = n_basis
        self.concentration = concentration
        self.stickiness = stickiness
        self.n_init = n_init
        self.max_iter = max_iter
        self.tol = tol
        self.dtype = dtype
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.verbose = verbose

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.positive_only = True
        tags.input_tags.categorical = True  # the checks of scikit-learn then give whole numbers
        return tags

    @validated_fit
    def fit(
        self,
        spikes: ArrayLike,
        y: Any = None,
        *,
        sessions: ArrayLike | None = None,
        groups: ArrayLike | None = None,
        covariates: ArrayLike | None = None,
    ) -> SwitchingPopulationGLM:
        """Fit by expectation-maximization from several starts.

        Parameters
        ----------
        spikes : array-like of shape (n_bins, n_units) or list of such
            An array, DataFrame, DataArray, recording or torch tensor; masked entries are NaN.
            A list has one for each session; a dict one, or a list of sessions, for each subject.
            Counts, time first.
        y : ignored
        sessions : array-like of shape (n_bins,), optional
            Session label of every bin. History does not cross the border of a session.
        groups : array-like of shape (n_bins,), optional
            Subject of each bin, the same one throughout a session. Subjects that a dict or
            recordings name are known without.
        covariates : array-like of shape (n_bins, n_covariates) or (n_bins,), optional
            What drives the units beside their history, such as a stimulus or running speed: an
            array or table, or a list or dict of such in the parts of the spikes. Later calls need
            them too.

        Returns
        -------
        self

        Raises
        ------
        DataError
            If counts are negative, fractional, missing or (Bernoulli) above one, a unit never
            fires, sessions are not contiguous, one has several subjects or is not longer than the
            history, or covariates are missing or do not fit.
        ValueError
            If ``basis="lags"`` and ``n_basis`` is not ``n_lags``, or settings have no part in
            "relaxed-one-hot".

        Warns
        -----
        NotConvergedWarning
            If the kept start did not converge.
        UserWarning
            If a state is nearly all of one of several subjects, who is nearly always in it.
        """
        self._check_settings()
        given = check_samples(self, spikes, sessions=sessions, groups=groups, reset=True)
        check_counts(given.X, self.family)
        check_fittable(given.X, given.sessions, self.n_lags)
        table = check_covariates(self, covariates, spikes, len(given.X), reset=True)
        self._refuse_covariates(table)
        set_covariate_scales(self, table)
        *rngs, rng = spawn_generators(self.random_state, self.n_init + 1)
        problem = self._problem(given.X, given.sessions, table)
        subjects = check_subjects(given.groups, problem.starts)
        problem = self._choose_ridge(problem, rng)
        plain = problem._replace(observations=self._observations().without_prior())
        glm = fit_single_state(plain, _GLM_MAX_ITER, _GLM_TOL)
        fit = self._fit_relaxed if self.prior == "relaxed-one-hot" else self._fit_exactly
        done = fit(problem, glm, rngs)
        self.glm_intercept_ = glm.coefficients[0, :, 0].copy()
        self.glm_weights_ = glm.weights[0].copy()
        self.glm_filter_mix_ = glm.filters
        set_or_forget(
            self, "glm_covariate_weights_", None if table is None else glm.covariate_weights[0]
        )
        self._keep(problem, done)
        self._keep_subjects(problem, subjects)
        return self

    def predict(
        self,
        spikes: ArrayLike,
        y: Any = None,
        *,
        sessions: ArrayLike | None = None,
        groups: ArrayLike | None = None,
        covariates: ArrayLike | None = None,
    ) -> np.ndarray:
        """Return the most probable path of states (n_bins,) through each session (Viterbi)."""
        return self._path(self._arrange(spikes, y, sessions, groups, covariates))

    def predict_proba(
        self,
        spikes: ArrayLike,
        y: Any = None,
        *,
        sessions: ArrayLike | None = None,
        groups: ArrayLike | None = None,
        covariates: ArrayLike | None = None,
    ) -> np.ndarray:
        """Return the posterior of the states (n_bins, n_states) given whole sessions."""
        problem = self._arrange(spikes, y, sessions, groups, covariates)
        return smooth_model(problem, self._model()).posterior

    def filter_proba(
        self,
        spikes: ArrayLike,
        y: Any = None,
        *,
        sessions: ArrayLike | None = None,
        groups: ArrayLike | None = None,
        covariates: ArrayLike | None = None,
    ) -> np.ndarray:
        """Return the probability of the states (n_bins, n_states) given the bins up to then."""
        return self._filter(self._arrange(spikes, y, sessions, groups, covariates))[0]

    def score(
        self,
        spikes: ArrayLike,
        y: Any = None,
        *,
        sessions: ArrayLike | None = None,
        groups: ArrayLike | None = None,
        covariates: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
    ) -> float:
        """Return the mean log-likelihood in nats per bin, summed over units, constants included.

        Parameters
        ----------
        spikes : array-like of shape (n_bins, n_units) or list of such
        y : ignored
        sessions : array-like of shape (n_bins,), optional
        groups : array-like of shape (n_bins,), optional
            Subjects, whose model is the same.
        covariates : array-like of shape (n_bins, n_covariates), optional
            As in `fit`.
        sample_weight : array-like of shape (n_bins,), optional
            Weights of the bins in the mean; each bin has its log-likelihood given those before it
            in the session.

        Returns
        -------
        float

        Raises
        ------
        DataError
            If counts are negative, fractional or missing, sessions are not contiguous, or
            there are no usable weights.
        """
        return self._score(self._arrange(spikes, y, sessions, groups, covariates), sample_weight)

    def score_bits(
        self,
        spikes: ArrayLike,
        y: Any = None,
        *,
        sessions: ArrayLike | None = None,
        groups: ArrayLike | None = None,
        covariates: ArrayLike | None = None,
        null: str = "glm",
        random_state: RandomState = None,
    ) -> float:
        """Return by how many bits per spike the model predicts better than a null model.

        Parameters
        ----------
        spikes : array-like of shape (n_bins, n_units) or list of such
        y : ignored
        sessions : array-like of shape (n_bins,), optional
        groups : array-like of shape (n_bins,), optional
            Subjects, whose model is the same.
        covariates : array-like of shape (n_bins, n_covariates), optional
            As in `fit`.
        null : {"glm", "shuffled"}
            The one-state model of the training data, or this model with its one-step-ahead state
            probabilities shuffled over bins: what it gains from knowing when states occur.
        random_state : int, RandomState, Generator or None
            For the shuffle.

        Returns
        -------
        float

        Raises
        ------
        ValueError
            If ``null`` is unknown.
        DataError
            As `score`, and if there is no spike.
        """
        check_option(null, NULLS, "null")
        return self._score_bits(
            self._arrange(spikes, y, sessions, groups, covariates), null, random_state
        )

    def sample(
        self,
        sessions: ArrayLike,
        *,
        covariates: ArrayLike | None = None,
        random_state: RandomState = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Draw spikes, which feed back through the history, and the states behind them.

        Parameters
        ----------
        sessions : array-like of shape (n_bins,)
            Session label of every bin to draw; ``np.zeros(1000)`` is one session of 1,000 bins.
        covariates : array-like of shape (n_bins, n_covariates), optional
            As in `fit`, of the bins to draw.
        random_state : int, RandomState, Generator or None

        Returns
        -------
        spikes : ndarray of shape (n_bins, n_units)
        states : ndarray of int of shape (n_bins,)

        Raises
        ------
        DataError
            If rates explode, sessions are not contiguous, or covariates do not fit.
        """
        check_is_fitted(self)
        n_bins = len(np.asarray(sessions))
        slices = session_slices(check_sessions(sessions, n_bins))
        table = self._standardized(
            check_covariates(self, covariates, None, n_bins, reset=False), n_bins
        )
        link = "bernoulli" if self.family == "bernoulli" else self.link
        states, spikes = [], []
        for rows, rng in zip(slices, spawn_generators(random_state, len(slices)), strict=True):
            path = draw_states(
                self.transition_matrix_, rows.stop - rows.start, rng, self.initial_proba_
            )
            states.append(path)
            # the intercept in every bin, with what covariates add to it
            level = self.intercept_[path] + np.einsum(
                "tic,tc->ti", self._covariate_weights()[path], table[rows]
            )
            spikes.append(draw_counts(path, level, self.weights_, self.filters_, link, rng))
        return np.concatenate(spikes), np.concatenate(states)

    def to_frame(self) -> pd.DataFrame:
        """Return couplings, intercepts, filters and the chain as one tidy table.

        Returns
        -------
        DataFrame
            One value per row: ``quantity``, ``state`` and ``to_state``, ``unit`` and ``from_unit``
            (names or numbers of columns of the spikes), ``lag`` (bins), ``sign``, ``value``.
            ``covariate`` (its name or number).
            Quantities: "weights" (the coupling from one unit to the other), "intercept",
            "covariate_weights" (per standard deviation),
            "filters" of each sending unit, "transition_matrix", "initial_proba", "occupancy" and,
            with priors of signs, "connection_probability".
        """
        check_is_fitted(self)
        return population_frame(self, feature_labels(self))

    @classmethod
    def published(cls, **overrides: Any) -> SwitchingPopulationGLM:
        """Return a model with the settings of Li et al. (2024), as their demonstration has them.

        Sets the one-hot prior as their code fits it (``prior="relaxed-one-hot"``), five states, the
        sigmoid link, one intercept for all states, one exponential filter over five bins, no ridge
        and ten epochs (``max_iter``). Signs are relaxed to the simplex at temperature 0.2 and drawn
        afresh in every step of Adam; logits and strengths start at zero, intercepts at the mean
        counts, so that noise alone parts the states. Sessions are taken one by one: each has its
        own E-step and 50 steps, the prior counts once in each, and the transition matrix is the
        last session's. First states are uniform, and the fitted weights have the most probable
        signs. ``tol`` does not apply: the schedule is all there is, and counts as converged.

        Their code hands probabilities to the density of the relaxed signs where it takes their
        logarithms; here it has logarithms.

        Parameters
        ----------
        **overrides
            Parameters that replace or add to these.

        Returns
        -------
        SwitchingPopulationGLM

        Examples
        --------
        >>> from neuroml.switching import SwitchingPopulationGLM
        >>> model = SwitchingPopulationGLM.published(n_states=3)
        >>> model.prior, model.link, model.max_iter
        ('relaxed-one-hot', 'sigmoid', 10)
        """
        settings: dict[str, Any] = {
            "n_states": 5,
            "n_lags": 5,
            "link": "sigmoid",
            "shared_intercept": True,
            "prior": "relaxed-one-hot",
            "basis": "exponential",
            "max_iter": 10,
            **_RELAXED,
        }
        return cls(**(settings | overrides))

    def _check_settings(self) -> None:
        """Refuse settings that contradict each other."""
        if self.basis == "lags" and self.n_basis != self.n_lags:
            raise ValueError(f"basis='lags' needs n_basis=n_lags={self.n_lags}, not {self.n_basis}")
        if self.prior == "relaxed-one-hot":
            other = [f"{k}={v}" for k, v in _RELAXED.items() if getattr(self, k) != v]
            if other:
                raise ValueError(
                    f"prior='relaxed-one-hot' is the authors' fit, which has {', '.join(other)}: "
                    "start from SwitchingPopulationGLM.published()."
                )

    def _refuse_covariates(self, covariates: np.ndarray | None) -> None:
        if covariates is not None and self.prior == "relaxed-one-hot":
            raise DataError(
                "the authors' fit has no covariates",
                expected="covariates=None with prior='relaxed-one-hot'",
                found=f"shape {covariates.shape}",
                fix="Use prior='one-hot'.",
                field="covariates",
            )

    def _choose_ridge(self, problem: Problem, rng: np.random.Generator) -> Problem:
        """Set `ridge_`, and return the problem with it."""
        self.ridge_ = (
            choose_ridge(problem, self.n_states, _WARM_UP_RIDGE, rng, self.tol, self.n_jobs)
            if isinstance(self.ridge, str)
            else float(self.ridge)
        )
        return problem._replace(observations=self._observations())

    def _fit_exactly(
        self, problem: Problem, glm: Couplings, rngs: list[np.random.Generator]
    ) -> FitTrace[Model]:
        """EM from several starts, and on from the best of them under the prior asked for."""
        # A prior on signs is of no use before the states have parted: it would take the weights of
        # mixtures of states for absent. So the starts have a ridge alone.
        loose = self._observations().without_prior(ridge=max(self.ridge_, _WARM_UP_RIDGE))
        start = problem._replace(observations=loose)
        tasks = [(start, glm, self.n_states, rng, _WARM_UP, self.tol) for rng in rngs]
        every = self._restarts(fit_from_random_start, tasks)
        best = every[best_restart(every, name=type(self).__name__)]
        done = fit_em(problem, best.state, self.max_iter, self.tol)
        select_restart([done], name=type(self).__name__)  # warns if it has not converged
        self._keep_signs(self._observations().weight_prior(done.state.emissions).sign_probabilities)
        return done

    def _fit_relaxed(
        self, problem: Problem, glm: Couplings, rngs: list[np.random.Generator]
    ) -> FitTrace[Model]:
        """The authors' schedule, from zero."""
        from neuroml.switching._observations.one_hot_gumbel import fit_relaxed  # torch

        done, signs = fit_relaxed(problem, glm, self.n_states, rngs[0], self.max_iter)
        self.restart_objectives_ = np.array([done.objective])
        self._keep_signs(signs)
        return done

    def _keep_signs(self, signs: np.ndarray | None) -> None:
        """Set `connection_probability_` where the prior has one, and forget an earlier fit's."""
        self.__dict__.pop("connection_probability_", None)
        if signs is not None:
            self.connection_probability_ = signs

    def _observations(self) -> PopulationCounts:
        return PopulationCounts(
            LIKELIHOODS["bernoulli" if self.family == "bernoulli" else f"poisson {self.link}"],
            prior=self.prior,
            scale=self.prior_scale or _PRIOR_SCALES[self.prior],
            sign_concentration=_SIGN_CONCENTRATIONS[self.sign_sharing],
            ridge=getattr(self, "ridge_", 0.0) if isinstance(self.ridge, str) else self.ridge,
            covariate_ridge=self.covariate_ridge,
            shared_intercept=self.shared_intercept,
        )

    def _problem(
        self, counts: np.ndarray, sessions: np.ndarray, covariates: np.ndarray | None = None
    ) -> Problem:
        table = counts.astype(self.dtype)
        histories = history(table, self._functions(), sessions)
        scaled = self._standardized(covariates, len(counts)).astype(self.dtype)
        return Problem(
            self._observations(),
            PopulationData(np.ascontiguousarray(table.T), histories, scaled),
            np.empty((len(counts), 0)),
            np.append(break_points(sessions), len(counts)).astype(np.int64),
            ChainPrior(self.concentration, self.stickiness),
        )

    def _standardized(self, covariates: np.ndarray | None, n_bins: int) -> np.ndarray:
        """Covariates (n_bins, n_covariates), without columns if there are none."""
        return np.empty((n_bins, 0)) if covariates is None else standardized(self, covariates)

    def _covariate_weights(self) -> np.ndarray:
        return getattr(self, "covariate_weights_", np.zeros((*self.intercept_.shape, 0)))

    def _functions(self) -> np.ndarray:
        return basis_functions(self.basis, self.n_basis, self.n_lags)

    def _arrange(
        self,
        X: Any,
        y: Any,
        sessions: ArrayLike | None,
        groups: ArrayLike | None = None,
        covariates: ArrayLike | None = None,
    ) -> Problem:
        check_is_fitted(self)
        given = check_samples(self, X, sessions=sessions, groups=groups, reset=False)
        check_counts(given.X, self.family)
        table = check_covariates(self, covariates, X, len(given.X), reset=False)
        return self._problem(given.X, given.sessions, table)

    def _store(self, model: Model) -> None:
        emissions = model.emissions
        self.intercept_ = emissions.coefficients[:, :, 0].copy()
        self.weights_ = emissions.weights.copy()
        known = hasattr(self, "covariate_mean_")
        by_covariates = emissions.covariate_weights.copy() if known else None
        set_or_forget(self, "covariate_weights_", by_covariates)
        self.filter_mix_ = emissions.filters
        self.filters_ = emissions.filters @ self._functions()

    def _model(self) -> Model:
        coefficients = np.concatenate(
            [self.intercept_[:, :, None], self.weights_, self._covariate_weights()], axis=2
        )
        n_states = len(coefficients)
        return Model(
            Couplings(coefficients, self.filter_mix_, np.full(3, 1.0 / 3.0)),
            Chain(self.initial_proba_, self.transition_matrix_, np.zeros((0, n_states, n_states))),
        )

    def _glm(self) -> Couplings:
        none = np.zeros((len(self.glm_intercept_), 0))
        by_covariates = getattr(self, "glm_covariate_weights_", none)
        coefficients = np.column_stack([self.glm_intercept_, self.glm_weights_, by_covariates])[
            None
        ]
        return Couplings(coefficients, self.glm_filter_mix_, np.full(3, 1.0 / 3.0))

    def _events(self, problem: Problem) -> tuple[float, str]:
        return float(problem.design.counts.sum(dtype=np.float64)), "spike"
