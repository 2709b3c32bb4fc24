"""What every family shares, each thing exactly once.

Importing anything of neuroml passes here, so this is where a clash with libNeuroML, which
installs a folder of the same name, is told plainly instead of failing somewhere odd.
"""

from __future__ import annotations

from pathlib import Path

import neuroml

CLASH = (
    "This environment mixes neuroml-learn (machine learning for neural recordings) with "
    "libNeuroML (the NeuroML model-description language): both install a folder called 'neuroml' "
    "and overwrite each other's files. Keep them in separate environments; to repair this one, run "
    "'pip uninstall -y libNeuroML neuroml-learn' and then 'pip install neuroml-learn'."
)


def check_environment() -> None:
    """Raise ImportError if libNeuroML's files stand in the same folder as ours."""
    ours = getattr(neuroml, "__distribution__", None) == "neuroml-learn"
    theirs = (Path(__file__).parents[1] / "nml").is_dir()
    if theirs or not ours:
        raise ImportError(CLASH)


check_environment()
