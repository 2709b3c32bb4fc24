"""Alice in Wonderland: text tables per subject, and a Praat TextGrid of the spoken words."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

from neuroml.data import make_recording

DATA = "alice_data_shared"
WORDS = "alice_stim_shared/DownTheRabbitHoleFinal_exp120_pad_1.TextGrid"
PREDICTORS = f"{DATA}/sept18-generic-predictors-under-hrf-with-logfrqhal.txt"
PREDICTOR_NAMES = (
    "rate frq break tdp tdx bup bux cfgsurp bigramlex trigramlex bigrampos trigrampos".split()
)
REGIONS = "LATL RATL LPTL LIPL LPreM LIFG".split()
MOTION = "trans_x trans_y trans_z rot_x rot_y rot_z".split()
TR_S = 2.0
DISCARDED = 10  # volumes
ALL_ZERO = "s33"
INTERVAL = re.compile(r'xmin = ([\d.]+)\s+xmax = ([\d.]+)\s+text = "([^"]*)"')


def keys(folder: Path) -> list[tuple[str, str, str]]:
    files = sorted((folder / DATA / "6mm").glob("*-timecourses.txt"))
    subjects = [file.name.split("-")[0] for file in files]
    return [(subject, "", "") for subject in subjects if subject != ALL_ZERO]


def read(folder: Path, key: tuple[str, str, str]) -> tuple[xr.Dataset, pd.DataFrame]:
    data, subject = folder / DATA, key[0]
    (motion,) = data.glob(f"{subject}-rp_*.txt")
    covariates = pd.DataFrame(
        np.loadtxt(folder / PREDICTORS)[DISCARDED:], columns=PREDICTOR_NAMES
    ).assign(
        word_rate=np.loadtxt(data / f"{subject}-rate.txt"),
        sound_power=np.loadtxt(data / f"{subject}-sndpwr.txt"),
    )
    wide = np.loadtxt(data / f"10mm/{subject}-timecourses.txt")
    recording = make_recording(
        np.loadtxt(data / f"6mm/{subject}-timecourses.txt"),
        units=REGIONS,
        rate_hz=1 / TR_S,
        modality="fmri",
        value_units="BOLD a.u.",
        key=key,
        covariates=covariates,
        confounds=pd.DataFrame(np.loadtxt(motion)[DISCARDED:], columns=MOTION),
        unit_coords={"hemisphere": [name[0] for name in REGIONS]},
        variables={"signal_10mm": xr.DataArray(wide, dims=("time", "unit"))},
        dropped=[f"the first {DISCARDED} rows of predictors and motion: discarded volumes"],
    )
    return recording, _words(folder / WORDS)


def _words(path: Path) -> pd.DataFrame:
    """The spoken words (pauses are left out), in seconds from the first volume that was kept."""
    spoken = [
        (float(start), float(stop), word.strip())
        for start, stop, word in INTERVAL.findall(path.read_text(encoding="utf-8"))
        if word.strip() not in ("", "sp")
    ]
    table = pd.DataFrame(spoken, columns=["start", "stop", "word"])
    return pd.DataFrame(
        {
            "onset": table["start"] - DISCARDED * TR_S,
            "duration": table["stop"] - table["start"],
            "trial_type": "word",
            "word": table["word"],
        }
    )


def participants(folder: Path) -> pd.DataFrame:
    subjects = [key[0] for key in keys(folder)]
    protocol = ["single-echo" if int(s[1:]) < 39 else "multi-echo" for s in subjects]
    return pd.DataFrame({"participant_id": subjects, "protocol": protocol})
