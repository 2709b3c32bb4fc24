"""What all tests share: where the real recordings are, one thread, no network."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

# the suite draws the same examples every time; a search for new ones: HYPOTHESIS_PROFILE=search
settings.register_profile("suite", derandomize=True)
settings.register_profile("search", max_examples=5000, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "suite"))

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")  # before NumPy and torch are imported, which read it once
os.environ.setdefault("NEUROML_OFFLINE", "1")

BESIDE_THE_REPOSITORY = Path(__file__).parents[2] / "shared" / "data"
SHARED_DATA = Path(os.environ.get("NEUROML_SHARED_DATA") or BESIDE_THE_REPOSITORY)
if SHARED_DATA.is_dir():
    os.environ["NEUROML_DATA"] = str(SHARED_DATA)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real recordings: without it a test is skipped, but fails where CI is set."""
    if SHARED_DATA.is_dir():
        return SHARED_DATA
    reason = f"no real recordings: {SHARED_DATA} is not a folder (set NEUROML_SHARED_DATA)"
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)
