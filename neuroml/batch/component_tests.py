"""Whether a fitted model's components are more than chance, as ``[evaluate] null`` asks."""

from __future__ import annotations

import warnings

import pandas as pd
from sklearn.base import BaseEstimator

from neuroml.batch.recipe import Recipe
from neuroml.connectome import surrogate_test
from neuroml.connectome.inference import makes_components
from neuroml.exceptions import NotConvergedWarning
from neuroml.report import Context

__all__ = ["component_tests"]

# Whether units are related at all, and whether there is more than relations that stay. The null of
# the scores is one of them or weaker, so it does not choose.
_NULLS = ("shift", "matched-covariance")


def component_tests(recipe: Recipe, model: BaseEstimator, context: Context) -> pd.DataFrame | None:
    """Test the components of a model against surrogates of the traces.

    Parameters
    ----------
    recipe : Recipe
    model : BaseEstimator
        Fitted.
    context : Context
        What its first step was fitted to.

    Returns
    -------
    DataFrame or None
        One row per null and component: ``null``, the columns of `surrogate_test`, and ``p``: of the
        component, corrected for all nulls and both statistics (Bonferroni). None without
        ``[evaluate] null``, or without components of traces.
    """
    section = recipe.evaluate
    if section is None or section.null is None or not makes_components(model):
        return None
    found = []
    with warnings.catch_warnings():
        # said of a surrogate's fit, it would be read as said of the model
        warnings.simplefilter("ignore", NotConvergedWarning)
        for null in _NULLS:
            table = surrogate_test(
                model,
                context.X,
                sessions=context.sessions,
                groups=context.groups,
                kind=null,
                n_surrogates=section.n_permutations,
                random_state=recipe.fit.random_state,
            )
            table.insert(0, "null", null)
            found.append(table)
    tests = pd.concat(found, ignore_index=True)
    least = tests[["weight_p", "contrast_p"]].min(axis=1)
    least = least.groupby(tests["component"]).transform("min")
    return tests.assign(p=(2 * len(_NULLS) * least).clip(upper=1.0))
