"""Generalised linear models whose parameters switch with a hidden state."""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils import Bunch, Tags
from sklearn.utils.validation import check_is_fitted

from neuroml._core.estimator import RANDOM_STATE, Estimator, Interval, StrOptions, validated_fit
from neuroml._core.iteration import fit_from_starts, select_restart
from neuroml._core.parallel import RandomState, spawn_generators
from neuroml._core.validation import check_sample_weight
from neuroml.exceptions import DataError
from neuroml.switching import inference
from neuroml.switching._chain import Chain, filter_chain, transitions
from neuroml.switching._fit import Model, Problem, fit_from_random_start, fit_glm, smooth_model
from neuroml.switching._gaussian import COVARIANCE_TYPES
from neuroml.switching._given import (
    check_columns,
    given_chain,
    given_emissions,
    given_spread,
)
from neuroml.switching._information import error_bars
from neuroml.switching._layout import FAMILIES, arrange, join_weights, required, split_weights
from neuroml.switching._scores import bits_per_event, log_predictive

__all__ = ["SwitchingGLM"]


_WITH_SPREAD = ("gaussian", "negative_binomial")
_WITH_CLASSES = ("bernoulli", "categorical")


class SwitchingGLM(Estimator):
    r"""Generalised linear model whose weights depend on a hidden Markov state (GLM-HMM).

    In state k the linear predictor of output m is :math:`\eta_{tm} = b_{km} + w_{km} \cdot x_t`;
    states follow a Markov chain within each session. With one state this is the generalized linear
    model itself, and without X a plain hidden Markov model. Fitted by expectation-maximization of
    the penalized likelihood, exactly and on all sessions at once [1]_ [2]_.

    Parameters
    ----------
    n_states : int, default=3
    family : {"bernoulli", "categorical", "gaussian", "poisson", "negative_binomial"}
        What y is: 0 or 1 (logistic link); classes 0, 1, ... (softmax, against class 0); real;
        counts (logarithmic link); over-dispersed counts with variance mean + mean^2 / r.
    covariance_type : {"full", "diagonal", "spherical", "tied"}, default="full"
        Of Gaussian outputs.
    covariance_prior : float, default=1.0
        Weight, in observations, of a Gaussian covariance's prior, which is diagonal with the
        outputs' variances. 0 is maximum likelihood, which is unbounded where a state owns few bins.
    ridge : float, default=0.01
        Precision of the normal prior of the weights, not of the intercepts (1 / sigma^2; for
        Gaussian outputs in units of the noise).
    fit_intercept : bool, default=True
    emission_columns : sequence of int or str, boolean mask, or None, default=None
        Columns of X that drive the observations; None is all of them.
    transition_columns : sequence of int or str, boolean mask, or None, default=None
        Columns of X that drive the transitions into a bin; None leaves transitions constant.
    transition_ridge : float, default=1.0
        Precision of the normal prior of the weights of transitions.
    concentration : float, default=1.0
        Of the Dirichlet prior of every row of the transition matrix and of the first state;
        1 is flat, 2 adds one pseudo-transition to each.
    stickiness : float, default=0.0
        Pseudo-transitions that the prior adds to staying in a state.
    n_init : int, default=10
        Random starts; the one with the highest penalized likelihood is kept.
    max_iter : int, default=500
    tol : float, default=1e-6
        A fit has converged when an iteration gains no more than this, in nats per observed bin.
    n_jobs : int or None, default=None
        Processes over the starts.
    random_state : int, RandomState, Generator or None, default=None

    Attributes
    ----------
    weights_ : ndarray of shape (n_states, n_outputs, n_emission_inputs)
        States in falling order of occupancy. Categorical: one row for each class but 0.
    intercept_ : ndarray of shape (n_states, n_outputs)
    spread_ : ndarray
        Gaussian: covariances (n_states, n_outputs, n_outputs). Negative binomial: r
        (n_states, n_outputs). Absent for the other families.
    transition_matrix_ : ndarray of shape (n_states, n_states)
        From row to column; with input-driven transitions, at zero input.
    transition_weights_ : ndarray of shape (n_transition_inputs, n_states, n_states)
        Log-odds per unit of input, from second to third axis.
    initial_proba_ : ndarray of shape (n_states,)
        Probability of the states in the first bin of a session.
    occupancy_ : ndarray of shape (n_states,)
        Share of the training bins.
    glm_weights_, glm_intercept_, glm_spread_ : ndarray
        The one-state model of the same data, each with a first axis of length one; the last is
        absent where `spread_` is.
    n_classes_ : int
        Bernoulli: 2. Categorical: the highest class seen, plus one. Absent for the other families.
    objective_trace_ : ndarray of shape (n_iter + 1,)
        Penalised log-likelihood, nats per observed bin, at the start and after every iteration.
    restart_objectives_ : ndarray of shape (n_init,)
        Where every start ended, on the same scale: a wide spread means local maxima.
    n_iter_ : int
    converged_ : bool
    n_outputs_ : int
        Columns of y.
    target_names_ : list of str
        Names of the columns of y, if it was a table; later ones are put into this order.
    n_features_in_ : int
        Columns of X; 0 if there is no X.

    See Also
    --------
    SwitchingPopulationGLM : populations of neurons coupled through their spike history.
    neuroml.switching.select_by_sessions : choose the number of states by cross-validation.

    Notes
    -----
    Missing observations are NaN in y: they leave fit, posterior and score alike. Transitions into
    bin t depend on the inputs of bin t:
    :math:`P(z_t = j | z_{t-1} = i) \propto A_{ij} \exp(\sum_u x_{tu} V_{uij})`.

    References
    ----------
    .. [1] Z. C. Ashwood et al. (2022). Mice alternate between discrete strategies during
       perceptual decision-making. Nature Neuroscience 25:201-212.
    .. [2] S. S. Bolkan, I. R. Stone et al. (2022). Opponent control of behavior by dorsomedial
       striatal pathways depends on task demands and internal state. Nat. Neurosci. 25:345-357.

    Examples
    --------
    >>> from neuroml.simulate import make_switching_choices
    >>> from neuroml.switching import SwitchingGLM
    >>> data = make_switching_choices(n_sessions=10, n_trials=300, n_states=2, random_state=0)
    >>> model = SwitchingGLM(n_states=2, n_init=3, random_state=0)
    >>> model = model.fit(data.X, data.y, sessions=data.sessions)
    >>> model.weights_.shape
    (2, 1, 3)
    >>> model.predict_proba(data.X, data.y, sessions=data.sessions).shape
    (3000, 2)
    """

    _parameter_constraints = {
        "n_states": [Interval(Integral, 1, None, closed="left")],
        "family": [StrOptions(set(FAMILIES))],
        "covariance_type": [StrOptions(set(COVARIANCE_TYPES))],
        "covariance_prior": [Interval(Real, 0, None, closed="left")],
        "ridge": [Interval(Real, 0, None, closed="left")],
        "fit_intercept": ["boolean"],
        "emission_columns": ["array-like", None],
        "transition_columns": ["array-like", None],
        "transition_ridge": [Interval(Real, 0, None, closed="left")],
        "concentration": [Interval(Real, 1, None, closed="left")],
        "stickiness": [Interval(Real, 0, None, closed="left")],
        "n_init": [Interval(Integral, 1, None, closed="left")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0, None, closed="left")],
        "n_jobs": [Integral, None],
        "random_state": RANDOM_STATE,
    }

    def __init__(  # noqa: PLR0913 - an estimator's settings
        self,
        n_states: int = 3,
        family: str = "bernoulli",
        *,
        covariance_type: str = "full",
        covariance_prior: float = 1.0,
        ridge: float = 0.01,
        fit_intercept: bool = True,
        emission_columns: ArrayLike | None = None,
        transition_columns: ArrayLike | None = None,
        transition_ridge: float = 1.0,
        concentration: float = 1.0,
        stickiness: float = 0.0,
        n_init: int = 10,
        max_iter: int = 500,
        tol: float = 1e-6,
        n_jobs: int | None = None,
        random_state: RandomState = None,
    ) -> None:
        self.n_states = n_states
        self.family = family
        self.covariance_type = covariance_type
        self.covariance_prior = covariance_prior
        self.ridge = ridge
        self.fit_intercept = fit_intercept
        self.emission_columns = emission_columns
        self.transition_columns = transition_columns
        self.transition_ridge = transition_ridge
        self.concentration = concentration
        self.stickiness = stickiness
        self.n_init = n_init
        self.max_iter = max_iter
        self.tol = tol
        self.n_jobs = n_jobs
        self.random_state = random_state

    @validated_fit
    def fit(
        self, X: ArrayLike | None, y: ArrayLike, *, sessions: ArrayLike | None = None
    ) -> SwitchingGLM:
        """Fit to all sessions at once.

        Parameters
        ----------
        X : array-like of shape (n_bins, n_features), list of such, or None
            An array, DataFrame, DataArray, recording or torch tensor; masked entries are NaN.
            A list has one for each session; a dict one, or a list of sessions, for each subject.
            Time first. None is a model without inputs.
        y : array-like of shape (n_bins,) or (n_bins, n_outputs), or list of such
            NaN where missing.
        sessions : array-like of shape (n_bins,), optional
            Session label of each bin.

        Returns
        -------
        self

        Raises
        ------
        DataError
            If y is outside the family, nothing is observed, or sessions are not contiguous.

        Warns
        -----
        NotConvergedWarning
            If the best start had not converged after ``max_iter`` iterations.
        """
        problem = arrange(self, X, required(self, y), sessions, reset=True)
        glm = fit_glm(problem)
        tasks = [
            (problem, glm, self.n_states, rng, self.max_iter, self.tol)
            for rng in spawn_generators(self.random_state, self.n_init if self.n_states > 1 else 1)
        ]
        name = type(self).__name__
        best, every = select_restart(
            fit_from_starts(fit_from_random_start, tasks, name=name, n_jobs=self.n_jobs),
            name=name,
        )
        occupancy = smooth_model(problem, best.state).posterior.mean(axis=0)
        order = np.argsort(-occupancy, kind="stable")
        self.occupancy_ = occupancy[order]
        self._store(best.state.of_states(order))
        self.glm_weights_, self.glm_intercept_ = split_weights(self, glm.weights)
        self._set_if(_WITH_SPREAD, "glm_spread_", glm.spread)
        self._set_if(_WITH_CLASSES, "n_classes_", glm.weights.shape[1] + 1)
        self.objective_trace_ = np.array(best.trace)
        self.restart_objectives_ = np.array([one.objective for one in every])
        self.converged_ = best.converged
        self.n_iter_ = best.n_iter
        return self

    def predict(
        self,
        X: ArrayLike | None,
        y: ArrayLike | None = None,
        *,
        sessions: ArrayLike | None = None,
    ) -> np.ndarray:
        """Return the most probable path of states (Viterbi).

        Parameters
        ----------
        X, sessions
            As in `fit`.
        y : array-like, optional
            As in `fit`; None means that every observation is missing.

        Returns
        -------
        ndarray of int of shape (n_bins,)
        """
        problem = self._arrange(X, y, sessions)
        model = self._model()
        values = problem.family.values(model.emissions, problem.design)
        return inference.viterbi(values.T, *_chain_arguments(problem, model.chain))[0]

    def predict_proba(
        self,
        X: ArrayLike | None,
        y: ArrayLike | None = None,
        *,
        sessions: ArrayLike | None = None,
    ) -> np.ndarray:
        """Return the probability of every state given all observations of the session.

        Parameters
        ----------
        X, y, sessions
            As in `predict`.

        Returns
        -------
        ndarray of shape (n_bins, n_states)
        """
        problem = self._arrange(X, y, sessions)
        return smooth_model(problem, self._model()).posterior

    def filter_proba(
        self,
        X: ArrayLike | None,
        y: ArrayLike | None = None,
        *,
        sessions: ArrayLike | None = None,
    ) -> np.ndarray:
        """Return the probability of every state given the observations up to the same bin.

        Parameters
        ----------
        X, y, sessions
            As in `predict`.

        Returns
        -------
        ndarray of shape (n_bins, n_states)
        """
        problem = self._arrange(X, y, sessions)
        return self._filter(problem)[0]

    def score(
        self,
        X: ArrayLike | None,
        y: ArrayLike,
        *,
        sessions: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
    ) -> float:
        """Return the mean log-likelihood, nats per observed bin, normalizing constants included.

        Parameters
        ----------
        X, y, sessions
            As in `fit`.
        sample_weight : array-like of shape (n_bins,), optional
            Of the bins in the mean, each with its log-likelihood given the session's bins before.

        Raises
        ------
        DataError
            As `fit`, and if nothing is observed, or weights are none.
        """
        problem = self._arrange(X, required(self, y), sessions)
        n_observed = _some(problem.n_observed, "observed bin")
        if sample_weight is None:
            return self._filter(problem)[1] / n_observed
        observed = problem.design.observed
        weights = check_sample_weight(sample_weight, len(observed), observed)
        return float(np.average(log_predictive(problem, self._model()), weights=weights))

    def score_bits(
        self,
        X: ArrayLike | None,
        y: ArrayLike,
        *,
        sessions: ArrayLike | None = None,
        null: str = "glm",
        random_state: RandomState = None,
    ) -> float:
        """Return by how many bits per event the model predicts better than a null model.

        Events are spikes for counts, and observed bins (trials) for other families.

        Parameters
        ----------
        X, y, sessions
            As in `fit`.
        null : {"glm", "shuffled"}
            The one-state model of the training data, or this model with its one-step-ahead state
            probabilities shuffled over bins: what it gains from knowing when states occur.
        random_state : int, RandomState, Generator or None
            For the shuffle.

        Raises
        ------
        DataError
            As `fit`, and if there is no event.
        ValueError
            If ``null`` is unknown.
        """
        problem = self._arrange(X, required(self, y), sessions)
        if null == "glm" and not hasattr(self, "glm_weights_"):
            raise DataError(
                "the one-state model of the training data is not known, as nothing was fitted",
                expected="null='shuffled', or a fitted model",
                found="null='glm' in a model from given parameters",
                field="null",
            )
        (rng,) = spawn_generators(random_state, 1)
        per_spike = self.family in ("poisson", "negative_binomial")
        n_events = np.nansum(problem.design.targets) if per_spike else problem.n_observed
        n_events = _some(float(n_events), "spike" if per_spike else "observed bin")
        glm = None
        if null == "glm":
            spread = getattr(self, "glm_spread_", np.ones_like(self.glm_intercept_))
            glm = join_weights(self, self.glm_weights_, self.glm_intercept_, spread)
        return bits_per_event(problem, self._model(), glm, null, n_events, rng)

    def sample(
        self,
        X: ArrayLike | None = None,
        *,
        sessions: ArrayLike | None = None,
        random_state: RandomState = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Draw states and observations.

        Parameters
        ----------
        X : array-like of shape (n_bins, n_features), list of such, or None
            For a model without inputs, ``sessions`` gives the number of bins.
        sessions : array-like of shape (n_bins,), optional
        random_state : int, RandomState, Generator or None

        Returns
        -------
        y : ndarray of shape (n_bins,) or (n_bins, n_outputs)
        states : ndarray of int of shape (n_bins,)
        """
        check_is_fitted(self)
        if X is None and sessions is None:
            raise DataError("the number of bins is not known", fix="Give X or sessions.", field="X")
        nothing = (
            None if X is not None else np.full((len(np.asarray(sessions)), self.n_outputs_), np.nan)
        )
        problem = self._arrange(X, nothing, sessions)
        model = self._model()
        path, noise = spawn_generators(random_state, 2)
        states = inference.sample_states(
            np.zeros((len(problem.transition_inputs), len(self.initial_proba_))),
            *_chain_arguments(problem, model.chain),
            random_state=path,
        )
        y = problem.family.draw(model.emissions, states, problem.design.inputs, noise).T
        return (y[:, 0] if y.shape[1] == 1 else y), states

    def standard_errors(
        self, X: ArrayLike | None, y: ArrayLike, *, sessions: ArrayLike | None = None
    ) -> Bunch:
        """Return standard errors from the observed information of the marginal likelihood.

        The first-state probabilities, and transitions less probable than 1e-6 with their input
        weights, are held fixed: their errors are 0. Input weights of a row are those whose mean
        over the states that it may lead to stays as it is, as a constant changes nothing. With
        priors it is the curvature of the penalized likelihood.

        Parameters
        ----------
        X, y, sessions
            The training data.

        Returns
        -------
        Bunch
            ``weights``, ``intercept``, ``transition_matrix`` and ``transition_weights``, shaped as
            the fitted attributes of these names.

        Warns
        -----
        RuntimeWarning
            If the information is not positive definite; all errors are then NaN.
        """
        problem = self._arrange(X, required(self, y), sessions)
        errors = error_bars(problem, self._model())
        weights, intercept = split_weights(self, errors.weights)
        return Bunch(
            weights=weights,
            intercept=intercept,
            transition_matrix=errors.matrix,
            transition_weights=errors.chain_weights,
        )

    @classmethod
    def from_parameters(
        cls,
        weights: ArrayLike,
        intercept: ArrayLike,
        transition_matrix: ArrayLike,
        *,
        initial: ArrayLike | None = None,
        transition_weights: ArrayLike | None = None,
        spread: ArrayLike | None = None,
        n_features: int | None = None,
        **parameters: Any,
    ) -> SwitchingGLM:
        """Make a model with given parameters, to sample from or to compute posteriors with.

        Parameters
        ----------
        weights : array-like of shape (n_states, n_outputs, n_weights)
            Of the columns of X that drive observations; classes but the first are the outputs of a
            categorical model.
        intercept : array-like of shape (n_states, n_outputs)
        transition_matrix : array-like of shape (n_states, n_states)
            Rows sum to one.
        initial : array-like of shape (n_states,), optional
            Uniform if not given.
        transition_weights : array-like of shape (n_columns, n_states, n_states), optional
            As `transition_weights_`, one matrix for each of the ``transition_columns``.
        spread : array-like, optional
            As `spread_`; Gaussian families need it, others take ones.
        n_features : int, optional
            Columns of X; needed with ``emission_columns``.
        **parameters
            Of the constructor, such as ``family``.

        Returns
        -------
        SwitchingGLM

        Raises
        ------
        DataError
            If shapes disagree, something is not finite, probabilities do not sum to one, or a
            spread is none of the family's.
        """
        emissions = np.asarray(weights, dtype=np.float64)
        model = cls(n_states=len(np.atleast_1d(emissions)), **parameters)
        model._validate_params()
        model.weights_, model.intercept_ = given_emissions(model, emissions, intercept)
        n_outputs, n_weights = model.weights_.shape[1:]
        model.initial_proba_, model.transition_matrix_, model.transition_weights_ = given_chain(
            model, transition_matrix, initial, transition_weights
        )
        model._set_if(_WITH_SPREAD, "spread_", given_spread(model, spread, n_outputs))
        model.n_features_in_ = check_columns(model, n_weights, n_features)
        model._set_if(_WITH_CLASSES, "n_classes_", n_outputs + 1)
        model.n_outputs_ = 1 if model.family == "categorical" else n_outputs
        return model

    def _arrange(
        self, X: ArrayLike | None, y: ArrayLike | None, sessions: ArrayLike | None
    ) -> Problem:
        check_is_fitted(self)
        return arrange(self, X, y, sessions, reset=False)

    def _model(self) -> Model:
        chain = Chain(self.initial_proba_, self.transition_matrix_, self.transition_weights_)
        spread = getattr(self, "spread_", np.ones_like(self.intercept_))
        return Model(join_weights(self, self.weights_, self.intercept_, spread), chain)

    def _set_if(self, families: tuple[str, ...], name: str, value: Any) -> None:
        """Set a fitted attribute that means something for these families only."""
        if self.family in families:
            setattr(self, name, value)
        elif hasattr(self, name):  # from an earlier fit with another family
            delattr(self, name)

    def _store(self, model: Model) -> None:
        self.weights_, self.intercept_ = split_weights(self, model.emissions.weights)
        self._set_if(_WITH_SPREAD, "spread_", model.emissions.spread)
        self.initial_proba_, self.transition_matrix_, self.transition_weights_ = model.chain

    def _filter(self, problem: Problem) -> tuple[np.ndarray, float]:
        model = self._model()
        values = problem.family.values(model.emissions, problem.design)
        return filter_chain(
            model.chain, np.ascontiguousarray(values.T), problem.transition_inputs, problem.starts
        )

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        tags.target_tags.multi_output = True
        return tags


def _some(number: float, what: str) -> float:
    """A number of events to divide by, which must not be zero."""
    if not number:
        raise DataError(f"there is no {what} to score", expected="at least one", field="y")
    return number


def _chain_arguments(problem: Problem, chain: Chain) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Transition, initial and sessions, as `neuroml.switching.inference` takes them."""
    onward = transitions(chain, problem.transition_inputs)
    sessions = np.repeat(np.arange(len(problem.starts) - 1), np.diff(problem.starts))
    return (
        (onward if len(chain.weights) and len(sessions) > 1 else onward[0]),
        chain.initial,
        sessions,
    )
