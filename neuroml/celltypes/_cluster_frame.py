"""The table of clusters and of what cells respond to their stimuli."""

from __future__ import annotations

from typing import Any

import pandas as pd
from sklearn.utils.validation import check_is_fitted

from neuroml._core.frames import Quantity, long_frame

__all__ = ["cluster_frame"]


def cluster_frame(model: Any) -> pd.DataFrame:
    """The table of `MostDiscriminativeStimuli.to_frame`."""
    check_is_fitted(model)
    cells, clusters = range(len(model.labels_)), range(model.n_clusters_)
    both = {"stimulus": clusters, "cluster": clusters}
    return long_frame(
        [
            Quantity("cluster", model.labels_, {"cell": cells}),
            Quantity("response", model.responses_, {"stimulus": clusters, "cell": cells}),
            Quantity("objective", model.objective_, {"cluster": clusters}),
            Quantity("holdout_objective", model.holdout_objective_, {"cluster": clusters}),
            Quantity("confusion", model.confusion_, both),
        ]
    )
