"""What both estimators do with a fitted model: predict, score, restart, order states."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from neuroml._core.estimator import Estimator, check_option
from neuroml._core.iteration import FitTrace, fit_from_starts
from neuroml._core.parallel import RandomState, spawn_generators
from neuroml._core.validation import check_sample_weight
from neuroml.exceptions import DataError
from neuroml.switching import inference
from neuroml.switching._chain import Chain, filter_chain, transitions
from neuroml.switching._em import Model, Problem, smooth_model
from neuroml.switching._null_models import NULLS, bits_per_event, log_predictive
from neuroml.switching._subjects import occupancy_by_subject, warn_of_subjects

__all__ = ["SwitchingModel", "chain_arguments"]


class SwitchingModel(Estimator):
    """Base of the switching estimators, which arrange their data and store their emissions.

    Fitted attributes that both have: ``weights_, intercept_, transition_matrix_, initial_proba_,
    occupancy_, objective_trace_, restart_objectives_, n_iter_, converged_``, and
    ``subject_occupancy_`` where subjects are known.
    """

    _observed: ClassVar[str]  # the argument that holds what is observed, for messages
    n_jobs: int | None
    verbose: int
    subject_occupancy_: pd.DataFrame
    transition_matrix_: np.ndarray
    initial_proba_: np.ndarray

    @abstractmethod
    def _arrange(
        self, X: Any, y: Any, sessions: ArrayLike | None, groups: ArrayLike | None = None
    ) -> Problem:
        """Check data against the fitted model, and arrange them."""

    @abstractmethod
    def _model(self) -> Model:
        """The fitted model."""

    @abstractmethod
    def _store(self, model: Model) -> None:
        """Set the fitted attributes of the emissions."""

    @abstractmethod
    def _glm(self) -> Any:
        """Emissions of the one-state model of the training data, or None if nothing was fitted."""

    @abstractmethod
    def _events(self, problem: Problem) -> tuple[float, str]:
        """Number of events that `score_bits` counts, and what they are called."""

    def _keep_subjects(self, problem: Problem, groups: np.ndarray | None) -> None:
        """Set `subject_occupancy_` where subjects are known, and warn of states that are one."""
        self.__dict__.pop("subject_occupancy_", None)  # of an earlier fit
        if groups is None:
            return
        posterior = smooth_model(problem, self._model()).posterior
        self.subject_occupancy_ = occupancy_by_subject(posterior, groups)
        warn_of_subjects(self.subject_occupancy_)

    def _required(self, y: Any) -> Any:
        """Return y, which must not be None where it is what is observed."""
        if y is None and self._observed == "y":
            raise ValueError(
                f"This {type(self).__name__} estimator requires y to be passed, but the target y "
                "is None."
            )
        return y

    def _restarts(self, fit: Callable[..., Any], tasks: Iterable[tuple[Any, ...]]) -> list[Any]:
        """Fit from every start, and keep what they reached."""
        every = fit_from_starts(
            fit, tasks, name=type(self).__name__, n_jobs=self.n_jobs, verbose=self.verbose
        )
        self.restart_objectives_ = np.array([one.objective for one in every])
        return every

    def _keep(self, problem: Problem, best: FitTrace[Model], *, reorder: bool = True) -> None:
        """Set the fitted attributes, with states in falling order of occupancy if unnamed."""
        occupancy = smooth_model(problem, best.state).posterior.mean(axis=0)
        order = np.argsort(-occupancy, kind="stable") if reorder else np.arange(len(occupancy))
        model = best.state.of_states(order)
        self.occupancy_ = occupancy[order]
        self.initial_proba_, self.transition_matrix_ = model.chain[:2]
        if problem.prior.allowed is not None:
            self.transition_matrix_ = np.where(problem.prior.allowed, self.transition_matrix_, 0.0)
        self._store(model)
        self.objective_trace_ = np.array(best.trace)
        self.converged_ = best.converged
        self.n_iter_ = best.n_iter

    def predict(
        self,
        X: Any,
        y: Any = None,
        *,
        sessions: ArrayLike | None = None,
        groups: ArrayLike | None = None,
    ) -> np.ndarray:
        """Return the hidden states, not the observations: their most probable path (Viterbi).

        Parameters
        ----------
        X, sessions, groups
            As in `fit`; groups are needed where subjects have weights of their own.
        y : array-like, optional
            As in `fit`; None means that every observation is missing.

        Returns
        -------
        ndarray of int of shape (n_bins,)
        """
        return self._path(self._arrange(X, y, sessions, groups))

    def predict_proba(
        self,
        X: Any,
        y: Any = None,
        *,
        sessions: ArrayLike | None = None,
        groups: ArrayLike | None = None,
    ) -> np.ndarray:
        """Return the probability of every state given all observations of the session.

        Parameters
        ----------
        X, y, sessions, groups
            As in `predict`.

        Returns
        -------
        ndarray of shape (n_bins, n_states)
        """
        return smooth_model(self._arrange(X, y, sessions, groups), self._model()).posterior

    def filter_proba(
        self,
        X: Any,
        y: Any = None,
        *,
        sessions: ArrayLike | None = None,
        groups: ArrayLike | None = None,
    ) -> np.ndarray:
        """Return the probability of every state given the observations up to the same bin.

        Parameters
        ----------
        X, y, sessions, groups
            As in `predict`.

        Returns
        -------
        ndarray of shape (n_bins, n_states)
        """
        return self._filter(self._arrange(X, y, sessions, groups))[0]

    def score(
        self,
        X: Any,
        y: Any,
        *,
        sessions: ArrayLike | None = None,
        groups: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
    ) -> float:
        """Return the mean log-likelihood, nats per observed bin, normalizing constants included.

        Parameters
        ----------
        X, y, sessions, groups
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
            As `fit`, and if nothing is observed, or there are no usable weights.
        """
        return self._score(self._arrange(X, self._required(y), sessions, groups), sample_weight)

    def _score(self, problem: Problem, sample_weight: ArrayLike | None) -> float:
        n_observed = self._some(problem.design.n_observed, "observed bin")
        if sample_weight is None:
            return self._filter(problem)[1] / n_observed
        observed = problem.design.observed
        weights = check_sample_weight(sample_weight, len(observed), observed)
        return float(np.average(log_predictive(problem, self._model()), weights=weights))

    def score_bits(
        self,
        X: Any,
        y: Any,
        *,
        sessions: ArrayLike | None = None,
        groups: ArrayLike | None = None,
        null: str = "glm",
        random_state: RandomState = None,
    ) -> float:
        """Return by how many bits per event the model predicts better than a null model.

        Events are spikes for counts, and observed bins (trials) for other families.

        Parameters
        ----------
        X, y, sessions, groups
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
        DataError
            As `fit`, and if there is no event.
        ValueError
            If ``null`` is unknown.
        """
        check_option(null, NULLS, "null")
        problem = self._arrange(X, self._required(y), sessions, groups)
        return self._score_bits(problem, null, random_state)

    def _score_bits(self, problem: Problem, null: str, random_state: RandomState) -> float:
        glm = self._glm() if null == "glm" else None
        if null == "glm" and glm is None:
            raise DataError(
                "the one-state model of the training data is not known, as nothing was fitted",
                expected="null='shuffled', or a fitted model",
                found="null='glm' in a model from given parameters",
                field="null",
            )
        n_events = self._some(*self._events(problem))
        (rng,) = spawn_generators(random_state, 1)
        return bits_per_event(problem, self._model(), glm, n_events, rng)

    def _path(self, problem: Problem) -> np.ndarray:
        model = self._model()
        log_prob = problem.observations.log_prob(model.emissions, problem.design)
        return inference.viterbi(log_prob.T, *chain_arguments(problem, model.chain))[0]

    def _filter(self, problem: Problem) -> tuple[np.ndarray, float]:
        model = self._model()
        log_prob = problem.observations.log_prob(model.emissions, problem.design)
        return filter_chain(model.chain, log_prob, problem.transition_inputs, problem.starts)

    def _some(self, number: float, what: str) -> float:
        """A number of events to divide by, which must not be zero."""
        if not number:
            raise DataError(
                f"there is no {what} to score", expected="at least one", field=self._observed
            )
        return number


def chain_arguments(problem: Problem, chain: Chain) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Transition, initial and sessions, as `neuroml.switching.inference` takes them."""
    onward = transitions(chain, problem.transition_inputs)
    sessions = np.repeat(np.arange(len(problem.starts) - 1), np.diff(problem.starts))
    return (
        (onward if len(chain.weights) and len(sessions) > 1 else onward[0]),
        chain.initial,
        sessions,
    )
