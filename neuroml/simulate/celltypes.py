"""A simulated retina: cells of known types, their stimuli and responses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike
from scipy.signal import lfilter
from sklearn.utils import Bunch

from neuroml._core.parallel import RandomState, spawn_generators
from neuroml._core.torch_state import own_torch_state
from neuroml.exceptions import DataError
from neuroml.simulate.stimuli import make_pink_stimuli

if TYPE_CHECKING:
    from neuroml.simulate._retina import RetinaModule

__all__ = ["CELL_TYPES", "make_responses", "make_retina"]


@dataclass(frozen=True)
class CellType:
    """The parts of a cell, each a filter (space, time), and how they combine to its drive.

    ``pairs`` are (first part, second part, weight of their product); ``channels`` are the weights
    of green and UV where the stimulus has two channels.
    """

    parts: tuple[tuple[str, str], ...]
    linear: tuple[float, ...] = ()
    pairs: tuple[tuple[int, int, float], ...] = ()
    channels: tuple[float, float] = (1.0, 1.0)


def _motion(sign: float) -> CellType:
    """Opponent motion energy: one direction minus the other, as products of quadrature parts."""
    parts = (("cos_x", "cos"), ("sin_x", "sin"), ("cos_x", "sin"), ("sin_x", "cos"))
    return CellType(parts, pairs=((0, 1, -sign), (2, 3, sign)))


def _orientation(sign: float) -> CellType:
    """Energy of one orientation minus that of the orthogonal one."""
    parts = tuple((f"{phase}_{axis}", "transient") for axis in "xy" for phase in ("cos", "sin"))
    return CellType(parts, pairs=tuple((p, p, sign if p < 2 else -sign) for p in range(4)))


CELL_TYPES: dict[str, CellType] = {
    "on_transient": CellType((("spot", "transient"),), (1.0,)),
    "on_sustained": CellType((("spot", "sustained"),), (1.0,)),
    "off_transient": CellType((("spot", "transient"),), (-1.0,)),
    "off_sustained": CellType((("spot", "sustained"),), (-1.0,)),
    "on_large": CellType((("large", "sustained"),), (1.0,)),
    "off_large": CellType((("large", "sustained"),), (-1.0,)),
    "on_off": CellType((("spot", "transient"),), pairs=((0, 0, 1.0),)),
    "ds_right": _motion(1.0),
    "ds_left": _motion(-1.0),
    "suppressed": CellType(
        (("spot", "transient"), ("spot", "sustained")), pairs=((0, 0, -1.0), (1, 1, -1.0))
    ),
    "os_vertical": _orientation(1.0),
    "os_horizontal": _orientation(-1.0),
    "uv_on_green_off": CellType((("spot", "sustained"),), (1.0,), channels=(-1.0, 1.0)),
    "green_on_uv_off": CellType((("spot", "sustained"),), (1.0,), channels=(1.0, -1.0)),
}
"""Every type that `make_retina` knows; the last two need two channels."""

_CONTINUUM = "continuum"
_TEN_TYPES = tuple(CELL_TYPES)[:10]
# Sizes in pixels, chosen for the default canvas of 10 x 10: a spot of a few pixels, a larger one
# that still fits, and Gabor filters of about one period.
_SPOT, _LARGE, _GABOR, _WAVELENGTH = 1.0, 2.2, 1.8, 5.0
_TIME_CONSTANT, _DECAY = 1.5, 10.0  # frames, of filters and of the calcium indicator
_DRIVE_SD = 1.5  # of the softplus's argument: large enough for cells to rectify


def _space(name: str, rows: np.ndarray, columns: np.ndarray, size: float) -> np.ndarray:
    """A spatial filter (height, width) of unit norm around the origin of the coordinates."""
    squared = (rows**2 + columns**2) / size**2
    if name in ("spot", "large"):
        sigma = _SPOT if name == "spot" else _LARGE
        # center minus a surround of twice the width and half the weight (1/8 of the height)
        center = np.exp(-squared / (2 * sigma**2))
        profile = center - np.exp(-squared / (8 * sigma**2)) / 8
    else:
        along = columns if name.endswith("x") else rows
        wave = np.cos if name.startswith("cos") else np.sin
        profile = np.exp(-squared / (2 * _GABOR**2)) * wave(2 * np.pi * along / _WAVELENGTH / size)
    return profile / np.linalg.norm(profile)


def _time(name: str, n_lags: int, stretch: float) -> np.ndarray:
    """A temporal filter (n_lags,) of unit norm, the current frame last."""
    lag = np.arange(n_lags)[::-1] / stretch

    def pulse(constant: float) -> np.ndarray:
        return (lag + 0.5) / constant * np.exp(1 - (lag + 0.5) / constant)

    if name == "sustained":
        profile = pulse(_TIME_CONSTANT)
    elif name == "transient":
        fast, slow = pulse(0.8 * _TIME_CONSTANT), pulse(1.6 * _TIME_CONSTANT)
        profile = fast - slow * fast.sum() / slow.sum()
    else:
        wave = np.cos if name == "cos" else np.sin
        profile = pulse(1.6 * _TIME_CONSTANT) * wave(2 * np.pi * lag / 8)
    return profile / np.linalg.norm(profile)


@dataclass(frozen=True)
class _Cells:
    """What differs between cells: their kind, and one number each per cell."""

    kinds: Sequence[CellType]
    rows: np.ndarray
    columns: np.ndarray
    size: np.ndarray
    stretch: np.ndarray
    gain: np.ndarray

    @classmethod
    def typical(cls, kinds: Sequence[CellType], shape: Sequence[int]) -> _Cells:
        """Cells without variation, at the center of the canvas."""
        one = np.ones(len(kinds))
        row, column = center_of(shape)
        return cls(kinds, row * one, column * one, one, one, one)


def center_of(shape: Sequence[int]) -> tuple[float, float]:
    """Row and column of the pixel at the center of a canvas (n_frames, height, width, ...)."""
    return float(shape[1] // 2), float(shape[2] // 2)


def _build(
    cells: _Cells,
    shape: tuple[int, ...],
    n_lags: int,
    *,
    offset: np.ndarray,
    scale: np.ndarray,
    at_center: RetinaModule | None = None,
) -> RetinaModule:
    """Build the module from the cells' parts, with the drive of each cell scaled and shifted."""
    from neuroml.simulate._retina import RetinaModule

    n_channels = shape[3] if len(shape) == 4 else 1
    grid = np.mgrid[: shape[1], : shape[2]].astype(float)
    space: list[np.ndarray] = []
    time: list[np.ndarray] = []
    terms: list[tuple[int, int, int]] = []
    weights: list[float] = []
    for i, kind in enumerate(cells.kinds):
        rows, columns = grid[0] - cells.rows[i], grid[1] - cells.columns[i]
        first = len(space) + 1
        for where, when in kind.parts:
            profile = _space(where, rows, columns, cells.size[i])[..., None]
            space.append(profile * np.array(kind.channels[:n_channels]))
            time.append(_time(when, n_lags, cells.stretch[i]))
        products = [(p, 0, weight) for p, weight in enumerate(kind.linear, start=first)]
        products += [(first + p, first + q, weight) for p, q, weight in kind.pairs]
        terms += [(i, p, q) for p, q, _ in products]
        weights += [scale[i] * weight for *_, weight in products]
    return RetinaModule(
        space=np.array(space),
        time=np.array(time),
        terms=np.array(terms),
        weights=np.array(weights),
        bias=offset,
        gain=cells.gain,
        stimulus_shape=shape,
        at_center=at_center,
    )


def _standardized(kinds: Sequence[CellType], shape: tuple[int, ...], n_lags: int) -> np.ndarray:
    """Offset and scale (2, n_cells) that give a typical cell's drive mean 0 and a set deviation.

    The stimuli are always the same ones, so that a type is the same in every simulated retina.
    """
    import torch

    distinct = list(dict.fromkeys(kinds))
    zero, one = np.zeros(len(distinct)), np.ones(len(distinct))
    typical = _build(_Cells.typical(distinct, shape), shape, n_lags, offset=zero, scale=one)
    clips = make_pink_stimuli(100, shape, random_state=0)
    with torch.no_grad():
        drive = typical.drive(torch.from_numpy(clips)).double().numpy()
    scale = _DRIVE_SD / drive.std(axis=(0, 2))
    return np.array([-drive.mean(axis=(0, 2)) * scale, scale])[
        :, [distinct.index(k) for k in kinds]
    ]


@own_torch_state()
def make_retina(  # noqa: PLR0913 - one keyword for each property of the simulation
    cell_types: Sequence[str] | str = _TEN_TYPES,
    n_cells: int | Mapping[str, int] = 15,
    *,
    stimulus_shape: Sequence[int] = (24, 10, 10),
    n_lags: int = 10,
    rf_jitter: float = 0.0,
    filter_jitter: float = 0.1,
    gain_jitter: float = 0.3,
    n_frames: int = 2000,
    n_repeats: int = 10,
    noise: str = "poisson",
    noise_level: float = 1.0,
    random_state: RandomState = None,
) -> Bunch:
    """Simulate a retina with cells of known types, and a recording of it.

    Two calls with different seeds give two retinas with the same types: fit to one, test on the
    other.

    Parameters
    ----------
    cell_types : sequence of str or "continuum"
        Names from `CELL_TYPES`. "continuum" has no types: cells differ gradually along a ring from
        ON to OFF and sustained to transient, and in size; a control in which no types should be
        found.
    n_cells : int or mapping
        Number of cells of each type (``{name: number}`` for unequal numbers), or of the continuum.
    stimulus_shape : sequence of int
        (n_frames, height, width) of one clip; with a fourth entry 2, stimuli have a green and a UV
        channel.
    n_lags : int
        Number of frames that a response depends on.
    rf_jitter : float
        Standard deviation of the receptive fields' distance from the center, in pixels per axis.
    filter_jitter, gain_jitter : float
        Standard deviation, between cells of one type, of the logarithms of size and time scale,
        and of the rate.
    n_frames : int
        Length of the movie to fit on, a sequence of clips of ``stimulus_shape``; the one to test on
        is a tenth as long.
    n_repeats : int
        Number of repeats of the test movie.
    noise : {"poisson", "gaussian", "calcium", "none"}
    noise_level : float
        See `make_responses`.
    random_state : int, RandomState, Generator or None

    Returns
    -------
    sklearn.utils.Bunch
        ``module``, a torch module that maps (batch, ...) to mean rates
        (batch, n_cells), with ``frames`` for rates over time and ``centered``; ``types``
        (n_cells,), indices into ``type_names``; ``stimuli`` (n_frames, height, width[, 2]) and
        ``responses`` (n_frames, n_cells); ``test_stimuli``, ``test_responses``
        (n_repeats, n_frames / 10, n_cells); ``centers`` (n_cells, 2), row and column of the
        receptive fields.

    Raises
    ------
    DataError
        If a type is not known or needs two channels.

    Examples
    --------
    >>> from neuroml.simulate import make_retina
    >>> retina = make_retina(n_cells=3, n_frames=100, random_state=0)
    >>> retina.stimuli.shape, retina.responses.shape, len(retina.type_names)
    ((100, 10, 10), (100, 30), 10)
    """
    rng, movie_rng, test_rng, noise_rng, test_noise_rng = spawn_generators(random_state, 5)
    shape = tuple(int(n) for n in stimulus_shape)
    names, counts = _counts(cell_types, n_cells, shape)
    types = np.repeat(np.arange(len(names)), counts)
    if names == [_CONTINUUM]:
        kinds = [_between(angle) for angle in rng.uniform(0, 2 * np.pi, size=len(types))]
        size = np.exp(rng.uniform(0, np.log(_LARGE / _SPOT), size=len(types)))
    else:
        kinds = [CELL_TYPES[names[t]] for t in types]
        size = np.exp(filter_jitter * rng.standard_normal(len(types)))
    row, column = center_of(shape)
    cells = _Cells(
        kinds,
        rows=row + rf_jitter * rng.standard_normal(len(types)),
        columns=column + rf_jitter * rng.standard_normal(len(types)),
        size=size,
        stretch=np.exp(filter_jitter * rng.standard_normal(len(types))),
        gain=np.exp(gain_jitter * rng.standard_normal(len(types))),
    )
    offset, scale = _standardized(kinds, shape, n_lags)
    placed = replace(cells, rows=row * np.ones(len(types)), columns=column * np.ones(len(types)))
    at_center = _build(placed, shape, n_lags, offset=offset, scale=scale)
    module = _build(cells, shape, n_lags, offset=offset, scale=scale, at_center=at_center)
    movie = _movie(n_frames, shape, movie_rng)
    test = _movie(max(n_frames // 10, 1), shape, test_rng)
    return Bunch(
        module=module,
        types=types,
        type_names=names,
        centers=np.column_stack([cells.rows, cells.columns]),
        stimuli=movie,
        responses=make_responses(
            module.rates(movie), noise=noise, noise_level=noise_level, random_state=noise_rng
        ),
        test_stimuli=test,
        test_responses=make_responses(
            module.rates(test),
            noise=noise,
            noise_level=noise_level,
            n_repeats=n_repeats,
            random_state=test_noise_rng,
        ),
    )


def _movie(n_frames: int, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """Clips with natural statistics, one after another.

    One long movie with a spectrum of 1/f would hardly ever change fast enough for transient cells.
    """
    clips = make_pink_stimuli(-(-n_frames // shape[0]), shape, random_state=rng)
    return clips.reshape(-1, *shape[1:])[:n_frames]


def _between(angle: float) -> CellType:
    """A cell of the continuum: somewhere between ON and OFF, sustained and transient."""
    parts = (("spot", "sustained"), ("spot", "transient"))
    return CellType(parts, (float(np.cos(angle)), float(np.sin(angle))))


def _counts(
    cell_types: Sequence[str] | str, n_cells: int | Mapping[str, int], shape: tuple[int, ...]
) -> tuple[list[str], list[int]]:
    """Names of the types and how many cells there are of each, checked."""
    names = [cell_types] if isinstance(cell_types, str) else list(cell_types)
    unknown = [name for name in names if name not in CELL_TYPES]
    if unknown and names != [_CONTINUUM]:
        raise DataError(
            "unknown cell types",
            expected=f"of {list(CELL_TYPES)}",
            found=unknown,
            field="cell_types",
        )
    colored = [n for n in names if n in CELL_TYPES and CELL_TYPES[n].channels != (1.0, 1.0)]
    if colored and shape[3:] != (2,):
        raise DataError(
            "color-opponent cells need a stimulus with two channels",
            expected="stimulus_shape (n_frames, height, width, 2)",
            found=f"{shape} for {colored}",
            field="stimulus_shape",
        )
    counts = n_cells if isinstance(n_cells, Mapping) else dict.fromkeys(names, n_cells)
    return names, [int(counts[name]) for name in names]


def make_responses(
    rates: ArrayLike,
    *,
    noise: str = "poisson",
    noise_level: float = 1.0,
    n_repeats: int | None = None,
    random_state: RandomState = None,
) -> np.ndarray:
    """Draw noisy responses of cells with known rates.

    Parameters
    ----------
    rates : array-like of shape (n_frames, n_cells)
    noise : {"poisson", "gaussian", "calcium", "none"}
        "poisson": spike counts. "gaussian": rates plus noise. "calcium": rates filtered by an
        indicator that decays with a time constant of ten frames, plus noise. "none": the rates.
    noise_level : float
        Standard deviation of the noise of a frame over that of the cell's signal; for "gaussian"
        and "calcium".
    n_repeats : int, optional
        Number of repeats; without it, there is one, and no axis for it.
    random_state : int, RandomState, Generator or None

    Returns
    -------
    ndarray of float32 of shape (n_frames, n_cells) or (n_repeats, n_frames, n_cells)

    Examples
    --------
    >>> from neuroml.simulate import make_responses
    >>> make_responses([[0.0], [2.0]], noise="none", n_repeats=3).shape
    (3, 2, 1)
    """
    (rng,) = spawn_generators(random_state, 1)
    signal = np.asarray(rates, dtype=float)
    if noise == "calcium":
        signal = lfilter([1.0], [1.0, -np.exp(-1 / _DECAY)], signal, axis=0)
    shape = (n_repeats or 1, *signal.shape)
    if noise == "none":
        responses = np.broadcast_to(signal, shape).copy()
    elif noise == "poisson":
        responses = rng.poisson(signal, size=shape)
    elif noise in ("gaussian", "calcium"):
        responses = signal + noise_level * signal.std(axis=0) * rng.standard_normal(shape)
    else:
        raise DataError(
            "unknown noise",
            expected="'poisson', 'gaussian', 'calcium' or 'none'",
            found=repr(noise),
            field="noise",
        )
    return (responses if n_repeats is not None else responses[0]).astype(np.float32)
