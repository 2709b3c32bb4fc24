"""Generalized linear models whose parameters switch with a hidden state."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from copy import deepcopy
from numbers import Integral, Real
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sklearn.utils import Bunch, Tags
from sklearn.utils.validation import check_is_fitted

from neuroml._core.estimator import (
    RANDOM_STATE,
    Interval,
    StrOptions,
    check_option,
    validated_fit,
)
from neuroml._core.iteration import best_restart, select_restart
from neuroml._core.parallel import RandomState, show_progress, spawn_generators
from neuroml._core.recording import break_points
from neuroml._core.samples import align_outputs, as_samples, code_names, join_like
from neuroml._core.validation import (
    check_sample_weight,
    check_sessions,
    check_table,
    column_indices,
    set_or_forget,
)
from neuroml._core.warn import warn_caller
from neuroml.exceptions import DataError, NotConvergedWarning
from neuroml.switching import inference
from neuroml.switching._base import SwitchingModel, chain_arguments
from neuroml.switching._bootstrap import fingerprint, open_folder, refits, tidy
from neuroml.switching._chain import Chain, ChainPrior, given_array, given_chain
from neuroml.switching._classes import WITH_CLASSES, check_classes, decode, encode, given_classes
from neuroml.switching._constraints import check_fixed, check_mask, check_start, check_states
from neuroml.switching._criteria import check_counted, count_parameters, information_criteria
from neuroml.switching._em import Model, Problem, fit_em, fit_from_random_start, fit_single_state
from neuroml.switching._null_models import predicted_states
from neuroml.switching._observations.base import (
    Design,
    Emissions,
    Family,
    check_columns,
    check_targets,
    count_columns,
    without_weightless,
)
from neuroml.switching._observations.cohort import CohortEmissions, spread
from neuroml.switching._observations.families import (
    FAMILIES,
    NOISE,
    check_given_noise,
    make_family,
    noise_name,
)
from neuroml.switching._observations.gaussian import COVARIANCE_TYPES
from neuroml.switching._parameters import (
    axis_labels,
    join_weights,
    named_parameters,
    parameter_frame,
    split_weights,
)
from neuroml.switching._pooling import (
    POOLINGS,
    WITHOUT_PARTIAL,
    adapt_subject,
    by_subject,
    fit_cohort,
)
from neuroml.switching._standard_errors import error_bars, session_clusters
from neuroml.switching._subjects import (
    add_subject,
    check_subjects,
    code_subjects,
    fitted_subjects,
)

__all__ = ["FAMILIES", "SwitchingGLM"]

# Attributes that a fit without subjects of their own does not have.
_OF_SUBJECTS = (
    "subjects_",
    "subject_weights_",
    "subject_intercept_",
    "weight_variance_",
    "intercept_variance_",
    "subject_weights_std_",
    "subject_intercept_std_",
    *(f"subject_{name}_" for name in NOISE.values()),
)
# The one-state model is a reference and a start: it is fitted to the last digit.
_GLM_MAX_ITER, _GLM_TOL = 200, 1e-12


class SwitchingGLM(SwitchingModel):
    r"""Generalized linear model whose weights depend on a hidden Markov state (GLM-HMM).

    In state k the linear predictor of output m is :math:`\eta_{tm} = b_{km} + w_{km} \cdot x_t`;
    states follow a Markov chain within each session. With one state this is the generalized linear
    model itself, and without X a plain hidden Markov model. Fitted by expectation-maximization of
    the penalized likelihood, exactly and on all sessions at once [1]_ [2]_.

    Parameters
    ----------
    n_states : int, default=3
    family : {"bernoulli", "categorical", "gaussian", "poisson", "negative_binomial"}
        What y is: one of two labels (logistic link, of the second); one of several labels (softmax,
        against the first); real; counts (logarithmic link); over-dispersed counts (variance mean +
        dispersion * mean^2).
    classes : array-like of shape (n_classes,), or None, default=None
        The labels of choices in their order, with those that training data may lack. They are
        texts, booleans or whole numbers. None: those that occur, sorted ("left" before "right",
        -1 before 1). Other families have none.
    covariance_type : {"full", "diagonal", "spherical", "tied"}, default="full"
        Form of the covariances of Gaussian outputs.
    covariance_prior : float, default=1.0
        Weight, in observations, of a Gaussian covariance's prior, which is diagonal with the
        outputs' variances. 0 is maximum likelihood, which is unbounded where a state
        has few bins.
    ridge : float, default=0.01
        Precision of the normal prior of the weights, not of the intercepts (1 / sigma^2; for
        Gaussian outputs in units of the noise).
    pooling : {"complete", "partial", "none"}, default="complete"
        What the subjects (``groups`` of `fit`) share. All share the chain. "complete": the weights
        too. "none": every subject has its own. "partial": every subject has its own, normal around
        the cohort's, with a variance of each coefficient that is learned (see Notes). The last two
        begin at the pooled fit, so that their states are the same in all subjects.
    rate_prior : float, default=0.01
        Weight of the gamma prior of rates, for counts: in every state ``rate_prior * n_bins /
        n_states`` bins in which a unit fires at its mean rate. It keeps a state in which a unit was
        silent from making one held-out spike impossible. With inputs it is a prior of the rate at
        the mean input (see Notes). 0 is maximum likelihood.
    fit_intercept : bool, default=True
    emission_columns : sequence of int or str, boolean mask, or None, default=None
        Columns of X that drive the observations; None is all of them.
    transition_columns : sequence of int or str, boolean mask, or None, default=None
        Columns of X that drive the transitions into a bin; None leaves transitions constant.
    transition_ridge : float, default=1.0
        Precision of the normal prior of the weights of transitions.
    transition_mask : array-like of bool of shape (n_states, n_states), or None, default=None
        False forbids a transition, from row to column (a left-right chain is ``np.triu``). States
        then keep the order of the mask. None allows all.
    concentration : float, default=1.0
        Concentration of the Dirichlet prior of every row of the transition matrix and of the first
        state; 1 is flat, 2 adds one pseudo-transition to each.
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
    verbose : int, default=0
        1 shows a bar over starts, with the time that is left.

    Attributes
    ----------
    weights_ : ndarray of shape (n_states, n_outputs, n_emission_inputs)
        States in falling order of occupancy. Categorical: one row for each class but the first.
    intercept_ : ndarray of shape (n_states, n_outputs)
    subjects_ : ndarray of shape (n_subjects,)
        Those with weights of their own, in the order in which they come. This and the next four
        without complete pooling; `weights_` and `intercept_` are then the cohort's (``pooling=
        "none"``: the mean over subjects).
    subject_weights_ : ndarray of shape (n_subjects, n_states, n_outputs, n_emission_inputs)
    subject_intercept_ : ndarray of shape (n_subjects, n_states, n_outputs)
    weight_variance_ : ndarray of shape (n_states, n_outputs, n_emission_inputs)
        Variance of the subjects' weights around the cohort's. Partial pooling only.
    intercept_variance_ : ndarray of shape (n_states, n_outputs)
        That of their intercepts. Partial pooling only.
    subject_weights_std_, subject_intercept_std_ : ndarray
        Posterior standard deviations, shaped as `subject_weights_` and `subject_intercept_`, under
        the learned chain; the variances are averaged over what subjects leave open of them. Of
        subjects from `adapt`, under the learned variances. Partial pooling only.
    subject_covariances_, subject_dispersions_ : ndarray
        The noise of every subject (first axis). No pooling only, for families that have noise.
    covariances_ : ndarray of shape (n_states, n_outputs, n_outputs)
        Covariances of the noise. Gaussian only.
    dispersions_ : ndarray of shape (n_states, n_outputs)
        The variance is mean + dispersion * mean^2. Negative binomial only.
    transition_matrix_ : ndarray of shape (n_states, n_states)
        From row to column; with input-driven transitions, at zero input.
    transition_weights_ : ndarray of shape (n_transition_inputs, n_states, n_states)
        Log-odds per unit of input, from second to third axis.
    initial_proba_ : ndarray of shape (n_states,)
        Probability of the states in the first bin of a session.
    occupancy_ : ndarray of shape (n_states,)
        Share of the training bins.
    subject_occupancy_ : DataFrame of shape (n_subjects, n_states)
        Share of each subject's training bins. Only where subjects are known.
    glm_weights_, glm_intercept_, glm_covariance_, glm_dispersions_ : ndarray
        The one-state model of the same data, each with a first axis of length one; the last two are
        there where `covariances_` and `dispersions_` are.
    classes_ : ndarray of shape (n_classes,)
        Labels of choices. Bernoulli: `predict_mean` is the probability of the second. Absent for
        the other families.
    n_classes_ : int
        Their number.
    objective_trace_ : ndarray of shape (n_iter + 1,)
        Penalized log-likelihood, nats per observed bin, at the start and after every iteration;
        larger is better, and it never falls.
    restart_objectives_ : ndarray of shape (n_init,)
        Where every start ended, on the same scale; larger is better. A wide range means local
        maxima.
    n_parameters_ : int
        Numbers that the fit learned. Absent with partial pooling, where subjects' own weights count
        in part.
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
    Missing observations are NaN in y (of texts, None too): they leave fit, posterior and score
    alike. Labels with more than two whole numbers, some of them negative, are refused unless
    ``classes`` declares them, since -1 is also a common code of what is missing. Transitions into
    bin t depend on the inputs of bin t:
    :math:`P(z_t = j | z_{t-1} = i) \propto A_{ij} \exp(\sum_u x_{tu} V_{uij})`.

    The prior of rates adds :math:`c [\bar y_m \eta_{km} - e^{\eta_{km}}]` to the objective, for
    every state k and output m, with the predictor :math:`\eta_{km} = b_{km} + w_{km} \cdot
    \bar x` at the mean input, :math:`c` the pseudo-bins of ``rate_prior``, and the mean count
    :math:`\bar y_m` with half a spike added to the sum. Without inputs a state's rate is then
    :math:`(\sum_t \gamma_{tk} y_{tm} + c \bar y_m) / (\sum_t \gamma_{tk} + c)`.

    Partial pooling: weights and intercepts of subject s are normal around the cohort's. Those of
    subjects and cohort have the highest penalized likelihood under the variances, which solve the
    equation of empirical Bayes, v = mean over subjects of squared deviation and its posterior
    variance, with the observed information, and with the cohort's own uncertainty. A variance of
    zero is complete pooling, a large one none; each coefficient has its own in each state, which
    is held toward that over all states with the weight of two subjects. `n_iter_` counts steps of
    the variances, each with a whole fit under them; `objective_trace_` then holds the evidence by
    Laplace's approximation, which a step may lower a little, and `restart_objectives_` is still
    that of the pooled starts. The ridge holds the cohort's weights, and Gaussian noise is common to
    all subjects.

    The first fit in a new environment compiles its loops, which takes 2 to 4 seconds on one thread;
    the machine code is kept on disk.

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

    _observed = "y"
    _parameter_constraints = {
        "n_states": [Interval(Integral, 1, None, closed="left")],
        "family": [StrOptions(set(FAMILIES))],
        "classes": ["array-like", None],
        "covariance_type": [StrOptions(set(COVARIANCE_TYPES))],
        "covariance_prior": [Interval(Real, 0, None, closed="left")],
        "ridge": [Interval(Real, 0, None, closed="left")],
        "pooling": [StrOptions(set(POOLINGS))],
        "rate_prior": [Interval(Real, 0, None, closed="left")],
        "fit_intercept": ["boolean"],
        "emission_columns": ["array-like", None],
        "transition_columns": ["array-like", None],
        "transition_ridge": [Interval(Real, 0, None, closed="left")],
        "transition_mask": ["array-like", None],
        "concentration": [Interval(Real, 1, None, closed="left")],
        "stickiness": [Interval(Real, 0, None, closed="left")],
        "n_init": [Interval(Integral, 1, None, closed="left")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0, None, closed="left")],
        "n_jobs": [Integral, None],
        "random_state": RANDOM_STATE,
        "verbose": ["verbose"],
    }

    def __init__(  # noqa: PLR0913 - an estimator's settings
        self,
        n_states: int = 3,
        family: str = "bernoulli",
        *,
        classes: ArrayLike | None = None,
        covariance_type: str = "full",
        covariance_prior: float = 1.0,
        ridge: float = 0.01,
        pooling: str = "complete",
        rate_prior: float = 0.01,
        fit_intercept: bool = True,
        emission_columns: ArrayLike | None = None,
        transition_columns: ArrayLike | None = None,
        transition_ridge: float = 1.0,
        transition_mask: ArrayLike | None = None,
        concentration: float = 1.0,
        stickiness: float = 0.0,
        n_init: int = 10,
        max_iter: int = 500,
        tol: float = 1e-6,
        n_jobs: int | None = None,
        random_state: RandomState = None,
        verbose: int = 0,
    ) -> None:
        self.n_states = n_states
        self.family = family
        self.classes = classes
        self.covariance_type = covariance_type
        self.covariance_prior = covariance_prior
        self.ridge = ridge
        self.pooling = pooling
        self.rate_prior = rate_prior
        self.fit_intercept = fit_intercept
        self.emission_columns = emission_columns
        self.transition_columns = transition_columns
        self.transition_ridge = transition_ridge
        self.transition_mask = transition_mask
        self.concentration = concentration
        self.stickiness = stickiness
        self.n_init = n_init
        self.max_iter = max_iter
        self.tol = tol
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.verbose = verbose

    @validated_fit
    def fit(
        self,
        X: ArrayLike | None,
        y: ArrayLike,
        *,
        sessions: ArrayLike | None = None,
        groups: ArrayLike | None = None,
        states: ArrayLike | None = None,
        init: SwitchingGLM | None = None,
        fixed: Sequence[str] = (),
        sample_weight: ArrayLike | None = None,
    ) -> SwitchingGLM:
        """Fit to all sessions at once.

        Parameters
        ----------
        X : array-like of shape (n_bins, n_features), list of such, or None
            An array, DataFrame, DataArray, recording or torch tensor; masked entries are NaN.
            A list has one for each session; a dict one, or a list of sessions, for each subject.
            Time first. None is a model without inputs.
        y : array-like of shape (n_bins,) or (n_bins, n_outputs), or list of such
            NaN where missing. Choices are labels: texts, booleans or whole numbers.
        sessions : array-like of shape (n_bins,), optional
            Session label of each bin.
        groups : array-like of shape (n_bins,), optional
            Subject of each bin, the same one throughout a session. Subjects that a dict or
            recordings name are known without.
        states : array-like of int of shape (n_bins,), or list or dict of such, optional
            States that are known, 0 to n_states - 1, and -1 where they are not. States then keep
            these numbers. In the same parts as X, or one array.
        init : SwitchingGLM, optional
            A fitted model, or one `from_parameters`, at which the fit starts in place of random
            starts. States keep its order. Of subjects' own weights it gives the cohort's alone.
        fixed : sequence of str, optional
            Parameters that stay as they are in ``init``, by the names of the fitted attributes
            without the underscore: "weights", "intercept", "covariances", "dispersions",
            "transition_matrix", "initial_proba", "transition_weights". The last three alone where
            subjects have weights of their own.
        sample_weight : array-like of shape (n_bins,), or list or dict of such, optional
            What multiplies the log-probability of each bin's observations, in the posterior of the
            states and in what is fitted to it: 2 counts them twice, 0 is a missing observation.
            Transitions and priors have no weights.

        Returns
        -------
        self

        Raises
        ------
        DataError
            If y is outside the family, nothing is observed, sessions are not contiguous, or one has
            several subjects; if states are none, or ``init`` is another kind of model.

        Warns
        -----
        NotConvergedWarning
            If the best start had not converged after ``max_iter`` iterations.
        UserWarning
            If a state is nearly all of one of several subjects, who is nearly always in it.
        """
        problem, subjects = self._problem(
            X, self._required(y), sessions, groups, reset=True, sample_weight=sample_weight
        )
        codes = self._take_subjects(subjects)
        glm = fit_single_state(problem, _GLM_MAX_ITER, _GLM_TOL)
        known = None if states is None else join_like(states, X, y, "states")
        problem = self._constrained(problem, known, init, fixed)
        if init is None:
            rngs = spawn_generators(self.random_state, self.n_init if self.n_states > 1 else 1)
            starts = [(problem, glm, self.n_states, rng, self.max_iter, self.tol) for rng in rngs]
            every = self._restarts(fit_from_random_start, starts)
        else:
            start = self._start(init, glm)
            every = self._restarts(fit_em, [(problem, start, self.max_iter, self.tol)])
        if codes is not None:
            problem = self._by_subject(problem, codes)
            pooled = every[best_restart(every, name=type(self).__name__)].state
            every = [fit_cohort(problem, pooled, self.max_iter, self.tol)]
        named = states is not None or init is not None or self.transition_mask is not None
        best = select_restart(every, name=type(self).__name__)[0]
        self._keep(problem, best, reorder=not named)
        self._count(problem)
        self.glm_weights_, self.glm_intercept_ = self._split(glm.weights)
        self._set_noise("glm_", glm.noise)
        self._keep_subjects(problem, subjects)
        return self

    def predict_mean(
        self,
        X: ArrayLike | None,
        y: ArrayLike | None = None,
        *,
        sessions: ArrayLike | None = None,
        groups: ArrayLike | None = None,
    ) -> np.ndarray:
        """Return what is expected of each bin given the bins before it in the session.

        The probability of a choice (Bernoulli: of the second of `classes_`; categorical: of every
        one, in their order), the rate of counts, or the mean of real outputs: means of the states
        by their one-step-ahead probabilities.

        Parameters
        ----------
        X, sessions, groups
            As in `predict`.
        y : array-like, optional
            As in `fit`; None means that every observation is missing.

        Returns
        -------
        ndarray of shape (n_bins,), (n_bins, n_outputs) or (n_bins, n_classes)
        """
        problem, model = self._arrange(X, y, sessions, groups), self._model()
        family: Any = problem.observations
        log_prob = family.log_prob(model.emissions, problem.design)
        states = predicted_states(problem, model, log_prob)
        mean = np.einsum("tk,kmt->tm", states, family.mean(model.emissions, problem.design))
        return mean[:, 0] if mean.shape[1] == 1 else mean

    def aic(
        self,
        X: ArrayLike | None,
        y: ArrayLike,
        *,
        sessions: ArrayLike | None = None,
        groups: ArrayLike | None = None,
    ) -> float:
        """Return Akaike's information criterion of the training data; smaller is better.

        It misleads where states are chosen by it: with a state too many, parameters are not
        identified, so that a state more costs less than two for each of them, and too many are
        chosen. So does a strong prior. Held-out sessions (`neuroml.switching.select_by_sessions`)
        have neither fault.

        Parameters
        ----------
        X, y, sessions, groups
            The training data.

        Returns
        -------
        float

        Raises
        ------
        DataError
            As `fit`, and with partial pooling, where the number of parameters is not known.
        """
        return self._criterion(X, y, sessions, groups)[0]

    def bic(
        self,
        X: ArrayLike | None,
        y: ArrayLike,
        *,
        sessions: ArrayLike | None = None,
        groups: ArrayLike | None = None,
    ) -> float:
        """Return the Bayesian information criterion of the training data; smaller is better.

        It misleads as `aic` does where parameters are not identified, but the other way: it takes
        all observed bins for independent, and each state for seen in all of them, so that it misses
        rare states in few data.

        Parameters
        ----------
        X, y, sessions, groups
            The training data.

        Returns
        -------
        float

        Raises
        ------
        DataError
            As `aic`.
        """
        return self._criterion(X, y, sessions, groups)[1]

    def _criterion(self, X: Any, y: Any, sessions: Any, groups: Any) -> tuple[float, float]:
        check_is_fitted(self)
        cost = check_counted(getattr(self, "n_parameters_", None), self.pooling)
        problem = self._arrange(X, self._required(y), sessions, groups)
        n_observed = self._some(problem.design.n_observed, "observed bin")
        return information_criteria(self._filter(problem)[1], n_observed, cost)

    def adapt(
        self,
        X: ArrayLike | None,
        y: ArrayLike,
        *,
        subject: Hashable,
        sessions: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
    ) -> SwitchingGLM:
        """Return a model that knows one subject more, from few of its trials.

        The new subject's weights have the highest penalized likelihood under the learned variances
        around the cohort's weights. What the cohort has learned stays as it is.

        Parameters
        ----------
        X, y, sessions
            As in `fit`, of the new subject alone.
        subject : hashable
            Its name, by which ``groups`` of later calls refer to it.
        sample_weight : array-like of shape (n_bins,), optional
            As in `fit`.

        Returns
        -------
        SwitchingGLM
            A copy with the subject at the end of `subjects_`; this model is as it was.

        Raises
        ------
        DataError
            As `fit`; without partial pooling; or if the subject is known already.

        Warns
        -----
        NotConvergedWarning
            If it had not converged after ``max_iter`` iterations.
        """
        check_is_fitted(self)
        grown = add_subject(self._adaptable(), subject)
        problem = self._weighted(X, y, sessions, sample_weight)
        self._some(problem.design.n_observed, "observed bin")
        alone = self._by_subject(
            problem, np.zeros(len(problem.transition_inputs), int), learns=False
        )
        ended = adapt_subject(alone, self._model(), self.max_iter, self.tol)
        found = select_restart([ended], name=type(self).__name__)[0].state.emissions
        model = deepcopy(self)
        model.subjects_ = grown
        for name, value in zip(
            ("weights", "intercept", "weights_std", "intercept_std"),
            (*self._split(found.subjects.weights), *self._split(found.std)),
            strict=True,
        ):
            known_values = getattr(self, f"subject_{name}_")
            setattr(model, f"subject_{name}_", np.concatenate([known_values, value]))
        return model

    def _adaptable(self) -> np.ndarray:
        """The known subjects, of a model that has learned how subjects differ."""
        if self.pooling != "partial":
            raise DataError(
                "how subjects differ was not learned",
                expected="a model that was fitted with pooling='partial'",
                found=f"pooling={self.pooling!r}",
                field="pooling",
            )
        return self.subjects_

    def sample(
        self,
        X: ArrayLike | None = None,
        *,
        sessions: ArrayLike | None = None,
        groups: ArrayLike | None = None,
        random_state: RandomState = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Draw states and observations.

        Parameters
        ----------
        X : array-like of shape (n_bins, n_features), list of such, or None
            For a model without inputs, ``sessions`` gives the number of bins.
        sessions : array-like of shape (n_bins,), optional
        groups : array-like of shape (n_bins,), optional
            Subject of each bin, needed where subjects have weights of their own.
        random_state : int, RandomState, Generator or None

        Returns
        -------
        y : ndarray of shape (n_bins,) or (n_bins, n_outputs)
            Choices are labels, of `classes_`; whole numbers come as floats.
        states : ndarray of int of shape (n_bins,)
        """
        check_is_fitted(self)
        if X is None and sessions is None:
            raise DataError("the number of bins is not known", fix="Give X or sessions.", field="X")
        missing = (
            None if X is not None else np.full((len(np.asarray(sessions)), self.n_outputs_), np.nan)
        )
        problem = self._arrange(X, missing, sessions, groups)
        model = self._model()
        path, noise = spawn_generators(random_state, 2)
        states = inference.sample_states(
            np.zeros((len(problem.transition_inputs), len(self.initial_proba_))),
            *chain_arguments(problem, model.chain),
            random_state=path,
        )
        family: Any = problem.observations
        y = family.draw(model.emissions, states, problem.design, noise).T
        y = decode(y, self.classes_) if self.family in WITH_CLASSES else y
        return (y[:, 0] if y.shape[1] == 1 else y), states

    def standard_errors(
        self,
        X: ArrayLike | None,
        y: ArrayLike,
        *,
        sessions: ArrayLike | None = None,
        cov: str | None = None,
        clusters: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
    ) -> Bunch:
        """Return standard errors of the parameters.

        They are of the observed information of the marginal likelihood, or clustered: a sandwich of
        it around the spread of the clusters' exact gradients, with the correction G / (G - 1) for G
        clusters. The first is right where the model is; where sessions differ by more than their
        states (a subject's day, or its place), it is too small, and the second is not. Intervals
        from it are Student's, with G - 1 degrees of freedom.

        The first-state probabilities, and transitions less probable than 1e-6 with their input
        weights, are held fixed: their errors are 0. Input weights of a row are those whose mean
        over the states that it may lead to stays as it is, as a constant changes nothing. With
        priors it is the Hessian of the penalized likelihood.

        Parameters
        ----------
        X, y, sessions
            The training data.
        cov : {"observed", "sandwich"}, optional
            None: "sandwich" where there are ten sessions or more, or ``clusters``; else "observed".
        clusters : array-like of shape (n_bins,), optional
            What bins belong to, such as a subject: whole sessions. None: each session is a cluster.
        sample_weight : array-like of shape (n_bins,), optional
            As in `fit`.

        Returns
        -------
        Bunch
            ``weights``, ``intercept``, ``transition_matrix``, ``transition_weights`` and, for the
            negative binomial, ``dispersions``, shaped as the fitted attributes of these names;
            ``cov``, and ``degrees_of_freedom``, G - 1 or infinite.

        Raises
        ------
        DataError
            As `fit`, and if clusters cut sessions, or there is one alone.
        ValueError
            If ``cov`` is unknown, or "observed" with ``clusters``.

        Warns
        -----
        RuntimeWarning
            If the information is not positive definite; all errors are then NaN.
        UserWarning
            If there are fewer than 20 clusters.
        """
        self._only_complete("a standard error")
        if cov is not None:
            check_option(cov, ("observed", "sandwich"), "cov")
        problem = self._weighted(X, y, sessions, sample_weight)
        labels = None if clusters is None else np.asarray(clusters)
        by_session = session_clusters(problem.starts, cov, labels)
        errors = error_bars(self._family(), problem, self._model(), by_session)
        weights, intercept = self._split(errors.weights)
        found = Bunch(
            weights=weights,
            intercept=intercept,
            transition_matrix=errors.matrix,
            transition_weights=errors.chain_weights,
            cov="observed" if by_session is None else "sandwich",
            degrees_of_freedom=np.inf if by_session is None else float(by_session.max()),
        )
        if self.family == "negative_binomial":
            # Delta method: the free parameter is the logarithm of the dispersion.
            by_log = errors.free_noise.reshape(self.dispersions_.shape)
            found["dispersions"] = self.dispersions_ * by_log
        return found

    def bootstrap(
        self,
        X: ArrayLike | None,
        y: ArrayLike,
        *,
        sessions: ArrayLike | None = None,
        n: int = 200,
        n_jobs: int | None = None,
        random_state: RandomState = None,
        resume: Path | str | None = None,
        verbose: int = 0,
        sample_weight: ArrayLike | None = None,
    ) -> pd.DataFrame:
        """Refit to sessions drawn with replacement, and return the parameters of every refit.

        Refits start at this model, and their states are matched to its states by the bins of the
        training data. The spread of a parameter over resamples is its standard error where sessions
        are what is independent, without the normal approximation of `standard_errors`.

        Parameters
        ----------
        X, y, sessions
            The training data, of two sessions or more.
        n : int, default=200
            Number of resamples.
        n_jobs : int or None
            Processes over resamples.
        random_state : int, RandomState, Generator or None
        resume : path-like, optional
            A folder in which each resample is kept as soon as it is done. Called again, the same
            bootstrap goes on from there, or adds to it with a larger ``n``. It needs an int as
            ``random_state``.
        verbose : int, default=0
            1 shows the progress.
        sample_weight : array-like of shape (n_bins,), optional
            As in `fit`.

        Returns
        -------
        DataFrame
            One row per resample and parameter: ``resample``, ``parameter`` (the fitted attribute's
            name without its underscore), ``state``, ``to_state`` of transitions, ``output``,
            ``to_output`` of covariances, ``feature``, ``value``; columns that no parameter of this
            model has are left out.

        Raises
        ------
        DataError
            As `fit`, if there is one session alone, or if ``resume`` holds something else.

        Warns
        -----
        NotConvergedWarning
            If refits did not converge; it says how many.

        Examples
        --------
        >>> from neuroml.simulate import make_switching_choices
        >>> from neuroml.switching import SwitchingGLM
        >>> data = make_switching_choices(n_sessions=10, n_trials=100, n_states=2, random_state=0)
        >>> model = SwitchingGLM(n_states=2, n_init=2, random_state=0)
        >>> model = model.fit(data.X, data.y, sessions=data.sessions)
        >>> resamples = model.bootstrap(
        ...     data.X, data.y, sessions=data.sessions, n=5, random_state=0
        ... )
        >>> weights = resamples[resamples["parameter"] == "weights"]
        >>> weights.groupby(["state", "feature"])["value"].std().shape
        (6,)
        """
        self._only_complete("a bootstrap")
        problem, model = self._weighted(X, y, sessions, sample_weight), self._model()
        n_sessions = len(problem.starts) - 1
        if n < 1 or n_sessions < 2:
            raise DataError(
                "there is nothing to draw from" if n_sessions < 2 else "there are no resamples",
                expected="two sessions or more, and n of at least 1",
                found=f"{n_sessions} session(s), n={n}",
                fix="Pass sessions=, or a list with one array for each session.",
                field="sessions" if n_sessions < 2 else "n",
            )
        folder = None if resume is None else self._open(Path(resume), problem, model, random_state)
        rngs = spawn_generators(random_state, n)
        settings: dict[str, Any] = {"max_iter": self.max_iter, "tol": self.tol}
        done = refits(problem, model, rngs, **settings, n_jobs=n_jobs, folder=folder)
        found = list(show_progress(done, n, "resamples", verbose))
        n_short = sum(not one.converged for one in found)
        if n_short:
            warn_caller(
                f"{n_short} of {n} resamples did not converge in max_iter={self.max_iter} "
                "iterations: their parameters are still on their way.",
                NotConvergedWarning,
            )
        return tidy(
            [
                named_parameters(one.model, self.family, has_intercept=self.fit_intercept)
                for one in found
            ],
            self._labels(),
        )

    def to_frame(self, errors: Mapping[str, Any] | None = None) -> pd.DataFrame:
        """Return all parameters as one tidy table.

        Parameters
        ----------
        errors : Bunch, optional
            From `standard_errors`, which needs the training data.

        Returns
        -------
        DataFrame
            One value per row: ``quantity`` (the fitted attribute's name without its underscore),
            ``state``, ``to_state`` of transitions, ``output``, ``to_output`` of covariances,
            ``feature``, ``subject`` of parameters that subjects have of their own, ``value``, and
            ``se`` where it is known: with ``errors``, and of subjects with partial pooling, whose
            posterior standard deviation it is. Columns that no parameter of this model has are
            left out.
        """
        check_is_fitted(self)
        return parameter_frame(self, self._labels(), dict(errors or {}))

    @classmethod
    def from_parameters(
        cls,
        weights: ArrayLike,
        intercept: ArrayLike,
        transition_matrix: ArrayLike,
        *,
        initial_proba: ArrayLike | None = None,
        transition_weights: ArrayLike | None = None,
        covariances: ArrayLike | None = None,
        dispersions: ArrayLike | None = None,
        n_features: int | None = None,
        **parameters: Any,
    ) -> SwitchingGLM:
        """Make a model with given parameters, to sample from or to compute posteriors with.

        Parameters
        ----------
        weights : array-like of shape (n_states, n_outputs, n_weights)
            One weight for each column of X that drives observations. Classes but the first are the
            outputs of a categorical model.
        intercept : array-like of shape (n_states, n_outputs)
        transition_matrix : array-like of shape (n_states, n_states)
            Rows sum to one.
        initial_proba : array-like of shape (n_states,), optional
            Uniform if not given.
        transition_weights : array-like of shape (n_columns, n_states, n_states), optional
            As `transition_weights_`, one matrix for each of the ``transition_columns``.
        covariances : array-like of shape (n_states, n_outputs, n_outputs), optional
            As `covariances_`; the Gaussian family needs them, others take none.
        dispersions : array-like of shape (n_states, n_outputs), optional
            As `dispersions_`, 1 if not given; families but the negative binomial take none.
        n_features : int, optional
            Columns of X; needed with ``emission_columns``.
        **parameters
            Settings of the constructor, such as ``family``.

        Returns
        -------
        SwitchingGLM

        Raises
        ------
        DataError
            If shapes disagree, something is not finite, probabilities do not sum to one, or
            covariances or dispersions are not the family's.
        """
        model = cls(n_states=len(np.atleast_1d(np.asarray(weights))), **parameters)
        model._validate_params()
        model._only_complete("a model from given parameters")
        k = model.n_states
        model.weights_ = given_array("weights", weights, (k, "n_outputs", "n_features"))
        model.intercept_ = given_array("intercept", intercept, model.weights_.shape[:2])
        if model.intercept_.any() and not model.fit_intercept:
            raise DataError(
                "there is an intercept in a model without one",
                expected="zeros, or fit_intercept=True",
                found=model.intercept_.tolist(),
                field="intercept",
            )
        model.initial_proba_, model.transition_matrix_, model.transition_weights_ = given_chain(
            k, count_columns(model.transition_columns), transition_matrix, initial_proba,
            transition_weights,
        )  # fmt: skip
        n_classes = 2 if model.family == "bernoulli" else 1 + model.weights_.shape[1]
        classes = given_classes(model.classes, model.family, n_classes)
        if classes is not None:
            model.classes_, model.n_classes_ = classes, len(classes)
        given = {"covariances": covariances, "dispersions": dispersions}
        noise = check_given_noise(model.family, given, model.weights_.shape[:2])
        model._set_noise("", model._family().given_noise(noise, model.weights_))
        n_outputs, n_weights = model.weights_.shape[1:]
        model.n_features_in_ = check_columns(
            n_weights, n_features, model.emission_columns, model.transition_columns
        )
        model.n_parameters_ = 0
        model.n_outputs_ = 1 if model.family == "categorical" else n_outputs
        return model

    @classmethod
    def published(cls, **overrides: Any) -> SwitchingGLM:
        """Return a model with the settings of Ashwood et al. (2022), as far as they are fixed.

        Sets binary choices (``family="bernoulli"``), 20 random starts and at most 300 iterations.
        The authors chose ``n_states`` from 2 to 5, and the strengths of the priors (``ridge``, here
        1 / sigma^2, and ``concentration``) from a grid, by held-out sessions: use
        `neuroml.switching.select_by_sessions`.

        Parameters
        ----------
        **overrides
            Parameters that replace or add to these.

        Returns
        -------
        SwitchingGLM

        Examples
        --------
        >>> from neuroml.switching import SwitchingGLM
        >>> SwitchingGLM.published(n_states=4)
        SwitchingGLM(max_iter=300, n_init=20, n_states=4)
        """
        return cls(**{"family": "bernoulli", "n_init": 20, "max_iter": 300, **overrides})

    def _open(
        self, folder: Path, problem: Problem, model: Model, random_state: RandomState
    ) -> Path:
        """The folder of a bootstrap, whose resamples must be drawn again in the next call."""
        if not isinstance(random_state, Integral):
            raise DataError(
                "resamples that go on from a folder must be those of the first call",
                expected="an int",
                found=repr(random_state),
                field="random_state",
            )
        other = ("n_init", "n_jobs", "random_state", "verbose")
        settings = {name: v for name, v in self.get_params().items() if name not in other}
        return open_folder(
            folder, fingerprint(problem, model, settings | {"seed": int(random_state)})
        )

    def _labels(self) -> dict[str, dict[str, list[Any]]]:
        """What outputs and features of every parameter are called: names, or their numbers."""
        names = getattr(self, "feature_names_in_", None)
        outputs: list[Any] = list(range(self.weights_.shape[1]))
        if self.family == "categorical":  # against the first
            outputs = self.classes_[1:].tolist()
        elif getattr(self, "target_names_", None) is not None:
            outputs = list(self.target_names_)
        onward: Any = [] if self.transition_columns is None else self.transition_columns
        return axis_labels(
            list(range(self.n_features_in_)) if names is None else list(names),
            names,
            {"emission_columns": self.emission_columns, "transition_columns": onward},
            outputs,
        )

    def _arrange(
        self, X: Any, y: Any, sessions: ArrayLike | None, groups: ArrayLike | None = None
    ) -> Problem:
        check_is_fitted(self)
        problem, subjects = self._problem(X, y, sessions, groups, reset=False)
        if self.pooling == "complete":
            return problem
        return self._by_subject(problem, code_subjects(subjects, self.subjects_, self.pooling))

    def _weighted(
        self, X: Any, y: Any, sessions: ArrayLike | None, sample_weight: ArrayLike | None
    ) -> Problem:
        """Training data with their weights, where subjects share the model's."""
        check_is_fitted(self)
        weights = {"sample_weight": sample_weight}
        return self._problem(X, self._required(y), sessions, None, reset=False, **weights)[0]

    def _take_subjects(self, groups: np.ndarray | None) -> np.ndarray | None:
        """Set `subjects_`, and return each bin's place among them; None if weights are shared."""
        for name in _OF_SUBJECTS:  # of an earlier fit
            self.__dict__.pop(name, None)
        if self.pooling == "complete":
            return None
        poolable = [one for one in FAMILIES if one not in WITHOUT_PARTIAL]
        self.subjects_ = fitted_subjects(groups, self.pooling, self.family, poolable)
        return code_subjects(groups, self.subjects_, self.pooling)

    def _by_subject(self, problem: Problem, codes: np.ndarray, *, learns: bool = True) -> Problem:
        return by_subject(problem, self.pooling, codes, learns=learns)

    def _constrained(
        self,
        problem: Problem,
        states: ArrayLike | None,
        init: SwitchingGLM | None,
        fixed: Sequence[str],
    ) -> Problem:
        """The problem with states that are known, and with parameters that are held."""
        noise = [NOISE[self.family]] if self.family in NOISE else []
        known = ["weights", "intercept", *noise, "transition_matrix", "initial_proba"]
        chain, emissions = check_fixed(fixed, [*known, "transition_weights"], init)
        if emissions:
            self._only_complete("a fit that holds parameters of the observations")
        family: Any = problem.observations
        return problem._replace(
            observations=family.holding(emissions),
            held=chain,
            known=check_states(states, self.n_states, problem.starts, problem.prior.allowed),
        )

    def _start(self, init: SwitchingGLM, glm: Emissions) -> Model:
        """The model to start at, which must be one of this kind."""
        if not isinstance(init, SwitchingGLM):
            raise DataError(
                "init is no model", expected="a SwitchingGLM", found=type(init).__name__,
                field="init",
            )  # fmt: skip
        check_is_fitted(init)
        theirs = Model(
            init._emissions(""),
            Chain(init.initial_proba_, init.transition_matrix_, init.transition_weights_),
        )
        return check_start(
            theirs,
            self._kind(glm, count_columns(self.transition_columns)),
            init._kind(theirs.emissions, len(theirs.chain.weights)),
            check_mask(self.transition_mask, self.n_states),
        )

    def _kind(self, emissions: Emissions, n_onward: int) -> tuple[Any, ...]:
        """What a model and the one that a fit starts at must have in common."""
        classes = self.classes_.tolist() if self.family in WITH_CLASSES else None
        sizes = emissions.weights.shape[1:]
        return self.family, self.n_states, self.fit_intercept, *sizes, n_onward, classes

    def _count(self, problem: Problem) -> None:
        """Set `n_parameters_`, where it is known."""
        self.__dict__.pop("n_parameters_", None)
        if self.pooling == "partial":
            return
        model = self._model()
        self.n_parameters_ = count_parameters(problem, model.emissions, model.chain)

    def _only_complete(self, what: str) -> None:
        """Refuse what is defined for weights that all subjects share."""
        if self.pooling != "complete":
            raise DataError(
                f"{what} is not defined where subjects have weights of their own",
                expected="pooling='complete'",
                found=f"pooling={self.pooling!r}",
                fix="Fit with pooling='complete', or one subject at a time.",
                field="pooling",
            )

    def _problem(
        self,
        X: Any,
        y: Any,
        sessions: ArrayLike | None,
        groups: ArrayLike | None,
        *,
        reset: bool,
        sample_weight: ArrayLike | None = None,
    ) -> tuple[Problem, np.ndarray | None]:
        """Check and arrange data, and return each bin's subject; ``reset`` is True in fit."""
        labels = self.family in WITH_CLASSES
        coded, names = code_names(y, keeps_missing=True) if labels else (y, None)
        given = as_samples(X, coded, sessions, groups)
        table = (
            self._no_inputs(len(self._required(given.y)), reset=reset)
            if X is None
            else check_table(self, given.X, reset=reset, dtype=np.float64)
        )
        n_bins = len(table)
        starts = np.append(break_points(check_sessions(given.sessions, n_bins)), n_bins)
        weights = (
            None
            if sample_weight is None
            else check_sample_weight(join_like(sample_weight, X, y, "sample_weight"), n_bins)
        )
        values = without_weightless(given.y, weights)
        targets = self._targets(y, values, names, n_bins, reset=reset)
        driving = self._columns(table, "emission_columns")
        inputs = table if driving is None else driving
        if self.fit_intercept:
            inputs = np.column_stack([inputs, np.ones(n_bins)])
        onward = self._columns(table, "transition_columns")
        problem = Problem(
            self._family(),
            Design(np.ascontiguousarray(inputs.T), targets, self.fit_intercept),
            np.empty((n_bins, 0)) if onward is None else onward,
            starts.astype(np.int64),
            ChainPrior(
                self.concentration, self.stickiness, self.transition_ridge,
                check_mask(self.transition_mask, self.n_states),
            ),
            weights=weights,
        )  # fmt: skip
        return problem, check_subjects(given.groups, problem.starts)

    def _targets(
        self,
        y: Any,
        values: np.ndarray | None,
        names: np.ndarray | None,
        n_bins: int,
        *,
        reset: bool,
    ) -> np.ndarray:
        """Observations (M, T) as the family takes them: of labels, their places among classes.

        ``values`` and ``names`` are what was made of y.
        """
        classes = (
            check_classes(self.classes, self.family) if reset else getattr(self, "classes_", None)
        )
        # others are refused by their shape
        if self.family in WITH_CLASSES and values is not None and values.ndim <= 2:
            values, classes = encode(values, names, classes, self.family)
        if reset:
            set_or_forget(self, "classes_", classes)
            set_or_forget(self, "n_classes_", None if classes is None else len(classes))
        values = align_outputs(self, y, values, reset=reset)
        known = None if reset else self.n_outputs_
        targets = check_targets(self._family(), values, n_bins, known)
        self.n_outputs_: int = len(targets)
        return targets

    def _no_inputs(self, n_bins: int, *, reset: bool) -> np.ndarray:
        """The inputs (n_bins, 0) of a model without X."""
        if not self.fit_intercept:
            raise DataError("there is neither an input nor an intercept", fix="Give X.", field="X")
        if reset:
            self.n_features_in_ = 0
        elif self.n_features_in_:
            expected = f"{self.n_features_in_} columns"
            raise DataError("X is missing", expected=expected, found="None", field="X")
        return np.empty((n_bins, 0))

    def _columns(self, X: np.ndarray, name: str) -> np.ndarray | None:
        """The columns of X that a parameter selects, or None if it selects none in particular."""
        selected = getattr(self, name)
        if selected is None:
            return None
        names = getattr(self, "feature_names_in_", None)
        return np.ascontiguousarray(X[:, column_indices(selected, X.shape[1], names, field=name)])

    def _family(self) -> Family:
        settings = self.get_params(deep=False)
        return make_family(self.family, settings, getattr(self, "n_classes_", None))

    def _model(self) -> Model:
        chain = Chain(self.initial_proba_, self.transition_matrix_, self.transition_weights_)
        return Model(self._of_subjects() or self._emissions(""), chain)

    def _of_subjects(self) -> CohortEmissions | None:
        """Emissions of every subject, or None where they share them."""
        if self.pooling == "complete":
            return None
        alike = self._emissions("")
        emissions = spread(alike, len(self.subjects_))
        noise = getattr(self, f"subject_{NOISE.get(self.family)}_", emissions.subjects.noise)
        weights = self._joined(self.subject_weights_, self.subject_intercept_)
        if self.pooling == "partial":
            variance = self._joined(self.weight_variance_, self.intercept_variance_)
            std = self._joined(self.subject_weights_std_, self.subject_intercept_std_)
            emissions = emissions._replace(variance=variance, std=std)
        return emissions._replace(subjects=Emissions(weights, noise))

    def _glm(self) -> Emissions | CohortEmissions | None:
        if not hasattr(self, "glm_weights_"):
            return None
        glm = self._emissions("glm_")
        return glm if self.pooling == "complete" else spread(glm, len(self.subjects_))

    def _events(self, problem: Problem) -> tuple[float, str]:
        if self.family in ("poisson", "negative_binomial"):
            return float(np.nansum(problem.design.targets)), "spike"
        return float(problem.design.n_observed), "observed bin"

    def _emissions(self, prefix: str) -> Emissions:
        """Emissions of the fitted model, or of the one-state model with the prefix "glm_"."""
        weights, intercept = (
            getattr(self, f"{prefix}{name}_") for name in ("weights", "intercept")
        )
        names = (noise_name(family, prefix) for family in NOISE)
        noise = next((getattr(self, name) for name in names if hasattr(self, name)), None)
        noise = self._family().given_noise(noise, weights)
        return Emissions(self._joined(weights, intercept), noise)

    def _joined(self, weights: np.ndarray, intercept: np.ndarray) -> np.ndarray:
        return join_weights(weights, intercept, has_intercept=self.fit_intercept)

    def _split(self, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return split_weights(weights, has_intercept=self.fit_intercept)

    def _store(self, model: Model) -> None:
        self.transition_weights_ = model.chain.weights
        emissions = model.emissions
        if isinstance(emissions, CohortEmissions):
            self._store_subjects(emissions)
            emissions = Emissions(emissions.mean, emissions.subjects.noise.mean(axis=0))
        self.weights_, self.intercept_ = self._split(emissions.weights)
        self._set_noise("", emissions.noise)

    def _store_subjects(self, emissions: CohortEmissions) -> None:
        self.subject_weights_, self.subject_intercept_ = self._split(emissions.subjects.weights)
        if self.pooling == "partial":
            variances = self._split(emissions.variance)
            self.weight_variance_, self.intercept_variance_ = variances
            std = self._split(emissions.std)
            self.subject_weights_std_, self.subject_intercept_std_ = std
        elif self.family in NOISE:
            setattr(self, f"subject_{NOISE[self.family]}_", emissions.subjects.noise)

    def _set_noise(self, prefix: str, noise: np.ndarray) -> None:
        for family in NOISE:
            self._set_if((family,), noise_name(family, prefix), noise)

    def _set_if(self, families: tuple[str, ...], name: str, value: Any) -> None:
        """Set a fitted attribute that means something for these families only."""
        if self.family in families:
            setattr(self, name, value)
        elif hasattr(self, name):  # from an earlier fit with another family
            delattr(self, name)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        tags.target_tags.multi_output = True
        return tags
