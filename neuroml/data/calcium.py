"""Traces of cells: array files, Suite2p, CaImAn, NWB and pynapple to recordings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

from neuroml._core.files import sha256_of_file
from neuroml._core.recording import RecordingKey, make_recording
from neuroml.data._arrays import StoredArray, read_array
from neuroml.data._caiman import is_caiman, read_caiman
from neuroml.data._matrix import Matrix, may_be_seconds, read_matrix, read_vector
from neuroml.data._nwb import read_roi_series
from neuroml.data._pynapple import PynappleFile, is_pynapple, read_pynapple
from neuroml.data._tables import is_table
from neuroml.data._time import rate_and_segments
from neuroml.data._units import DECONVOLVED, OnNaN, no_cell, settle_units
from neuroml.exceptions import DataError

__all__ = ["read_traces"]

_SLOWEST_HZ = 0.1
"""No microscope is so slow; seconds taken from milliseconds are."""


def read_traces(  # noqa: PLR0913 - one keyword for each thing a file may leave open
    path: Path | str,
    *,
    rate_hz: float | None = None,
    time: str | ArrayLike | None = None,
    time_axis: Literal["samples"] | None = None,
    variable: str | None = None,
    units: Sequence[str] | None = None,
    units_first: bool | None = None,
    value_units: str = "a.u.",
    on_nan: OnNaN = "raise",
    key: RecordingKey = ("", "", ""),
) -> xr.Dataset:
    """Read fluorescence traces.

    Parameters
    ----------
    path : path-like
        A table (csv, tsv, txt, or parquet, which needs pyarrow), an array file (npy, npz, h5, or
        mat of v5 to v7.3) of several traces or of one, an NWB file (extra ``nwb``), a plane folder
        of Suite2p, an HDF5 file of CaImAn's results, or the npz file of a pynapple ``Tsd`` or
        ``TsdFrame``, whose segments end where its time support does.
    rate_hz : float, optional
        Frames per second. Suite2p needs it, or ``time``: its own settings are stored in a form
        that is not safe to load.
    time : str or array-like of shape (n_times,), optional
        Timestamps in seconds, or the name of the column or array that holds them. A step longer
        than 1.5 times the median is a gap and starts a new segment.
    time_axis : "samples", optional
        Says that the rate is not known, so that time counts samples.
    variable : str, optional
        Which array or series of the file (in NWB with its container, as in
        "Fluorescence/plane0", where several series have the name); for Suite2p "F" (the default)
        or "spks"; for CaImAn "F_dff" (the default), "C", "S" or "YrA".
    units : sequence of str, optional
        Names of the units; where the file names them, those to take. Suite2p's and CaImAn's
        regions are ``roi0, roi1, ...``, those of NWB ``roi`` and their id. By default those that
        the file accepts as cells are taken (NWB: a column ``iscell`` or ``accepted``).
    units_first : bool, optional
        Whether the file has one unit per row. If None, the number of units or timestamps decides;
        failing that time is first, and an array that has more columns than rows, is square, or is
        smoother along its rows is refused.
    value_units : str
        Units of the values, such as "dF/F"; NWB files say it themselves, and what Suite2p or
        CaImAn deconvolved ("spks", "S") is "deconvolved a.u.".
    on_nan : {"raise", "drop_units", "interpolate", "keep"}
        What to do with units with missing values, and with units that never vary: refuse; leave
        out; fill gaps on a straight line through time (and leave out the constant ones); keep.
    key : tuple of str
        (subject, session, run).

    Returns
    -------
    xarray.Dataset
        A recording. Suite2p's neuropil comes as the variable ``neuropil (time, unit)``: see
        `subtract_neuropil`.

    Raises
    ------
    DataError
        If the file is damaged, its axes are in doubt, or the parts do not fit together.
    ImportError
        For an NWB file without pynwb.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> import numpy as np
    >>> from neuroml.data import read_traces
    >>> file = pathlib.Path(tempfile.mkdtemp()) / "traces.npy"
    >>> np.save(file, np.random.default_rng(0).normal(size=(3, 100)))
    >>> recording = read_traces(file, rate_hz=30.0, units_first=True)
    >>> recording.signal.shape
    (100, 3)
    """
    path = Path(path)
    neuropil, support = None, None
    _check_options(path, time, units_first)
    _check_time_axis(path, rate_hz, time, time_axis)
    if path.is_dir():
        matrix, neuropil, path = _suite2p(path, variable, units)
        value_units = DECONVOLVED if (variable, value_units) == ("spks", "a.u.") else value_units
    elif path.suffix.lower() == ".nwb":
        series = read_roi_series(path, variable)
        time, value_units = series.time, series.value_units
        matrix = _cells(series.matrix, series.is_cell, units, "the file", path)
    elif path.is_file() and is_caiman(path):
        matrix, rate_hz, value_units = read_caiman(path, variable, rate_hz)
        matrix = _chosen(matrix, units)
    elif variable is None and _is_own_clock(time) and is_pynapple(path):
        saved = read_pynapple(path, spikes=False)
        matrix, time, support = _from_pynapple(saved, units, path), saved.time, saved.intervals
    else:
        if isinstance(time, str) and not is_table(path):
            time = read_vector(path, time)
        matrix, time = _from_array(path, time, variable, units, units_first)
    names = matrix.names or [f"unit{i}" for i in range(matrix.values.shape[1])]
    if time is None:
        if rate_hz is not None and not rate_hz > 0:
            raise DataError("rate_hz is not a frequency", expected="> 0", found=rate_hz, file=path)
        segment = None
    else:
        rate_hz, segment = _clock(time, rate_hz, path)
        segment = _supported(time, segment, support)
    settled = settle_units(matrix.values, names, on_nan, segment=segment, file=path)
    variables = {}
    if neuropil is not None:
        variables["neuropil"] = xr.DataArray(neuropil[:, settled.kept], dims=("time", "unit"))
    return make_recording(
        settled.values,
        units=[names[i] for i in settled.kept],
        rate_hz=rate_hz,
        time=time,
        segment=segment,
        modality="calcium",
        value_units=value_units,
        key=key,
        variables=variables,
        source=str(path),
        sha256=sha256_of_file(path),
        dropped=matrix.notes + settled.notes,
    )


def _check_options(path: Path, time: str | ArrayLike | None, units_first: bool | None) -> None:
    """Refuse options that the file contradicts."""
    knows_axes = path.is_dir() or path.suffix.lower() == ".nwb"
    if units_first is not None and (knows_axes or (path.is_file() and is_caiman(path))):
        raise DataError(
            "the file says itself which axis is time",
            expected="units_first= for tables and arrays only",
            found=f"units_first={units_first}",
            file=path,
            field="units_first",
        )
    if isinstance(time, str) and not may_be_seconds(time):
        raise DataError(
            "the timestamps are not in seconds, by their name",
            expected="seconds",
            found=time,
            fix="Pass them in seconds as an array: time=values / 1000 for milliseconds.",
            file=path,
            field="time",
        )


def _check_time_axis(
    path: Path, rate_hz: float | None, time: str | ArrayLike | None, time_axis: str | None
) -> None:
    """Time has one meaning: a rate, timestamps, or a count of samples."""
    is_given = rate_hz is not None or time is not None
    if time_axis not in (None, "samples") or (time_axis and is_given):
        raise DataError(
            "time_axis is for recordings whose rate is not known",
            expected="'samples', without rate_hz= and time=",
            found=f"{time_axis!r} with rate_hz={rate_hz}" if is_given else repr(time_axis),
            file=path,
            field="time_axis",
        )
    # another folder than Suite2p's is refused for being that, by _suite2p
    if not (is_given or time_axis) and any((path / f"{n}.npy").is_file() for n in ("F", "spks")):
        raise DataError(
            "the frame rate of a Suite2p folder must be given",
            fix="Pass rate_hz=, in frames per second and plane (ops['fs'] in Suite2p), or "
            "time_axis='samples' if it is not known.",
            file=path,
            field="rate_hz",
        )


def _clock(time: ArrayLike, rate_hz: float | None, path: Path) -> tuple[float | None, np.ndarray]:
    """The rate and an id per stretch without a gap, if the timestamps can be seconds."""
    measured_hz, segment = rate_and_segments(time, rate_hz, file=path)
    if rate_hz is None and measured_hz is not None and measured_hz < _SLOWEST_HZ:
        raise DataError(
            "the timestamps may be milliseconds or frames",
            expected=f"seconds, and more than {_SLOWEST_HZ:g} frames per second",
            found=f"{measured_hz:g} Hz",
            fix="Pass the timestamps in seconds as an array, or confirm the rate by rate_hz=.",
            file=path,
            field="time",
        )
    return measured_hz, segment


def _from_array(
    path: Path,
    time: str | ArrayLike | None,
    variable: str | None,
    units: Sequence[str] | None,
    units_first: bool | None,
) -> tuple[Matrix, np.ndarray | None]:
    """The matrix of a table or array file, and its timestamps."""
    side = [time] if isinstance(time, str) else []
    clock = None if time is None or side else np.asarray(time, dtype=np.float64)
    matrix = read_matrix(
        path,
        variable=variable,
        units=units,
        units_first=units_first,
        n_times=None if clock is None else len(clock),
        side=side,
    )
    return matrix, matrix.side[side[0]].to_numpy() if side else clock


def _is_own_clock(time: str | ArrayLike | None) -> bool:
    """Whether no other timestamps are given than those that pynapple names so."""
    return time is None or (isinstance(time, str) and time == "t")


def _from_pynapple(saved: PynappleFile, units: Sequence[str] | None, path: Path) -> Matrix:
    """The traces by the names of their columns; names to give, where they cannot be read."""
    values = np.asarray(saved.values)
    if saved.names is not None:
        return _chosen(Matrix(values, saved.names), units)
    if units is None or len(units) != values.shape[1]:
        raise DataError(
            "the names of the columns cannot be read safely",
            expected=f"units= with {values.shape[1]} names",
            found=units,
            file=path,
            field="units",
        )
    return Matrix(values, list(units))


def _supported(time: ArrayLike, segment: np.ndarray, support: np.ndarray | None) -> np.ndarray:
    """Ids of stretches which also end where the time support does."""
    if support is None or not len(support):
        return segment
    epoch = np.searchsorted(support[:, 0], np.asarray(time), side="right")
    return np.r_[0, np.cumsum((np.diff(epoch) != 0) | (np.diff(segment) != 0))]


def _chosen(series: Matrix, units: Sequence[str] | None) -> Matrix:
    """The named units of a series that names its own."""
    if units is None:
        return Matrix(series.values, series.names, notes=series.notes)
    places = {name: at for at, name in enumerate(series.names or [])}
    absent = [unit for unit in units if unit not in places]
    if absent:
        raise DataError(
            "no such unit",
            expected=", ".join([*places][:20]),
            found=", ".join(absent[:5]),
            field="units",
        )
    chosen = series.values[:, [places[unit] for unit in units]]
    return Matrix(chosen, list(units), notes=series.notes)


def _cells(
    matrix: Matrix,
    is_cell: np.ndarray | None,
    units: Sequence[str] | None,
    who: str,
    file: Path,
) -> Matrix:
    """The named units, or those that somebody accepts as cells, or all."""
    if units is not None or is_cell is None or is_cell.all():
        return _chosen(matrix, units)
    if not is_cell.any():
        found = f"{who} marks none of {len(is_cell)} regions"
        raise no_cell(found, file, ", or pass units= to name some")
    note = f"{int((~is_cell).sum())} of {len(is_cell)} regions that {who} marks as no cell"
    names = [name for name, cell in zip(matrix.names or [], is_cell, strict=True) if cell]
    return _chosen(replace(matrix, notes=[*matrix.notes, note]), names)


def _suite2p(
    folder: Path, variable: str | None, units: Sequence[str] | None
) -> tuple[Matrix, np.ndarray | None, Path]:
    """Traces, neuropil and main file of a plane folder."""
    main = folder / f"{variable or 'F'}.npy"
    if not main.is_file():
        planes = sorted(path.parent.name for path in folder.glob("plane*/F.npy"))
        raise DataError(
            "this is not a plane folder of Suite2p",
            expected=f"a file {main.name} in it",
            found=f"the planes {', '.join(planes)}" if planes else "no such file",
            fix="Read each plane folder alone." if planes else None,
            file=folder,
        )
    values = _rois_by_frames(main)
    matrix = Matrix(values.T, [f"roi{i}" for i in range(len(values))])
    is_cell = None
    if (folder / "iscell.npy").is_file():
        flags = read_array(folder / "iscell.npy", None, _is_list_of_flags, "a flag per region")
        is_cell = np.reshape(flags, (len(flags), -1))[:, 0] > 0
        _same_rois(len(is_cell), len(values), folder / "iscell.npy")
    matrix = _cells(matrix, is_cell, units, "Suite2p", folder)
    if variable not in (None, "F") or not (folder / "Fneu.npy").is_file():
        return matrix, None, main
    neuropil = _rois_by_frames(folder / "Fneu.npy")
    _same_rois(neuropil.shape, values.shape, folder / "Fneu.npy")
    at = [int(name.removeprefix("roi")) for name in matrix.names or []]
    return matrix, neuropil.T[:, at], main


def _rois_by_frames(path: Path) -> np.ndarray:
    return read_array(
        path, None, lambda array: array.kind == "numbers" and len(array.shape) == 2, "a 2-D array"
    )


def _is_list_of_flags(array: StoredArray) -> bool:
    return array.kind == "numbers" and len(array.shape) in (1, 2)


def _same_rois(found: object, expected: object, path: Path) -> None:
    if found != expected:
        raise DataError("the file does not fit F.npy", expected=expected, found=found, file=path)
