"""Brain images: what is checked before their voxels are trusted."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from numbers import Real
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from nibabel.openers import ImageOpener

from neuroml.data._arrays import existing_file, gzip_size
from neuroml.exceptions import DataError

__all__ = [
    "as_3d",
    "claimed_bytes",
    "image_problems",
    "is_image",
    "is_same_grid",
    "load_image",
    "needed",
    "on_grid_of",
    "open_series",
    "parse_image",
    "places_apart",
    "plausible_tr",
    "size_problems",
    "tr_of",
    "wrong_size",
]

_SUFFIXES = (".nii", ".nii.gz", ".img", ".img.gz", ".hdr", ".mgz", ".mgh")
_SECONDS = {"sec": 1.0, "msec": 1e-3, "usec": 1e-6}
_PLAUSIBLE_TR_S = (0.05, 30.0)


def is_image(source: Any) -> bool:
    """Whether this is a brain image, opened or by its file name."""
    if isinstance(source, str | Path):
        return str(source).lower().endswith(_SUFFIXES)
    return hasattr(source, "dataobj") and hasattr(source, "affine")


def load_image(source: Any, *, is_signal: bool = True) -> Any:
    """Open an image and check it; its voxels are read later.

    Parameters
    ----------
    source : path-like or nibabel image
        The file's own header is checked only when a path is given.
    is_signal : bool
        Whether the values are measured, rather than a mask or labels. A signal's bytes are counted
        later, as they are read (`neuroml.data._stream.VolumeStream`).

    Raises
    ------
    DataError
        On the first of `image_problems`.
    """
    if not isinstance(source, str | Path):
        if not is_image(source):
            raise DataError(
                "this is not a brain image",
                expected="a path, or an image of nibabel (img.get_fdata() loses where it lies)",
                found=type(source).__name__,
                fix="Pass the file, or nibabel.Nifti1Image(array, affine); of nilearn's atlases "
                "the field maps.",
            )
        for problem in _affine_problems(source, None):
            raise problem
        return source
    path = existing_file(source)
    image = parse_image(path)
    for problem in image_problems(image, path, count_bytes=not is_signal):
        raise problem
    return image


def parse_image(path: Path) -> Any:
    """Open an image file without checking what is in it."""
    try:
        return nib.load(path)
    except Exception as error:  # nibabel and the decompressors raise many kinds
        raise DataError(
            f"this cannot be read as a brain image ({(str(error) or repr(error)).splitlines()[0]})",
            fix="The file is damaged or of another kind: copy or convert it again.",
            file=path,
        ) from error


def image_problems(image: Any, path: Path, *, count_bytes: bool = True) -> Iterator[DataError]:
    """Yield what is wrong with an opened image file, apart from its voxels.

    With ``count_bytes=False`` a compressed file is not read through: who reads it, counts.
    """
    yield from size_problems(image, path, unpack=count_bytes)
    yield from _affine_problems(image, path)
    if isinstance(image.header, nib.Nifti1Header):
        yield from _scaling_problems(image, path)


def size_problems(image: Any, path: Path, *, unpack: bool = True) -> Iterator[DataError]:
    """Yield what is wrong with the size of an image's file."""
    shape = image.shape
    if not shape or min(shape) < 1:
        yield DataError("the image has an empty axis", found=f"shape {shape}", file=path)
        return
    data_file = Path(image.file_map["image"].filename)
    is_packed = data_file.suffix == ".gz"
    if not hasattr(image.dataobj, "offset") or (is_packed and not unpack):
        return
    try:
        there = gzip_size(data_file) if is_packed else data_file.stat().st_size
    except DataError as error:
        yield error
        return
    if there != claimed_bytes(image):
        yield wrong_size(image, there, path)


def claimed_bytes(image: Any) -> int:
    """How long the header of an image says that the decompressed file is."""
    proxy = image.dataobj
    return int(proxy.offset + math.prod(image.shape) * np.dtype(proxy.dtype).itemsize)


def wrong_size(image: Any, there: int, path: Path | None) -> DataError:
    """The error for a file of another number of bytes than its header claims."""
    claimed, dtype = claimed_bytes(image), image.dataobj.dtype
    too_long = "the header does not account for all bytes of the file"
    return DataError(
        "the file is truncated" if there < claimed else too_long,
        expected=f"{claimed} bytes for {' x '.join(map(str, image.shape))} voxels of {dtype}",
        found=f"{there} bytes",
        fix="The file is damaged: copy or download it again. Only if you know that its header "
        "is right, pass nibabel.load(path) in place of the path.",
        file=path,
    )


def _affine_problems(image: Any, path: Path | None) -> Iterator[DataError]:
    affine = np.asarray(image.affine, dtype=np.float64)
    if not np.isfinite(affine).all():
        problem = "the affine (voxel to mm) has values that are not finite"
    elif abs(np.linalg.det(affine[:3, :3])) < 1e-9:
        problem = "the affine (voxel to mm) is singular: it maps the volume onto a plane"
    else:
        yield from _places_apart(image, path)
        return
    yield DataError(
        problem,
        expected="a finite, invertible 4 x 4 matrix",
        found=affine.tolist(),
        fix="Repair sform and qform in the header, for example from the original image.",
        file=path,
        field="affine",
    )


def _places_apart(image: Any, path: Path | None) -> Iterator[DataError]:
    """Yield that sform and qform, of one and the same space, put a voxel into different places."""
    codes, apart = _distance_mm(image)
    if codes[0] == codes[1] and not apart <= max(image.header.get_zooms()[:3]):
        yield DataError(
            "sform and qform, which claim the same space, put the image into different places",
            expected="less than a voxel apart",
            found=f"{apart:.3g} mm, both with code {codes[0]}",
            fix="Repair the header: set both to the right affine, or the code of the wrong to 0.",
            file=path,
            field="affine",
        )


def places_apart(image: Any) -> list[str]:
    """Say that sform and qform, of spaces that may differ, put a voxel into different places."""
    (of_s, of_q), apart = _distance_mm(image)
    if apart <= (max(image.header.get_zooms()[:3]) if apart else 0):
        return []
    return [
        f"the qform (code {of_q}), which puts the image up to {apart:.3g} mm away from the sform "
        f"(code {of_s}), which is used"
    ]


def _distance_mm(image: Any) -> tuple[tuple[int, int], float]:
    """The codes of sform and qform, and how far apart both put a corner of the image."""
    header = image.header
    if not isinstance(header, nib.Nifti1Header):
        return (0, 0), 0.0
    sform, qform = header.get_sform(coded=True), header.get_qform(coded=True)
    codes = int(sform[1]), int(qform[1])
    if 0 in codes:
        return codes, 0.0
    corners = np.array(list(itertools.product(*((0, n - 1) for n in image.shape[:3]))))
    s_mm, q_mm = (nib.affines.apply_affine(form[0], corners) for form in (sform, qform))
    return codes, float(np.linalg.norm(s_mm - q_mm, axis=1).max())


def _scaling_problems(image: Any, path: Path) -> Iterator[DataError]:
    """Yield a scaling that no reader can apply.

    A slope of 0 or NaN means that the numbers are not scaled, whatever the intercept: so says the
    NIfTI-1 standard of 0, and its reference reader (nifti1_io.c) takes NaN for 0.
    """
    with ImageOpener(image.file_map.get("header", image.file_map["image"]).filename) as handle:
        raw = type(image.header).from_fileobj(handle, check=False)
    slope, intercept = float(raw["scl_slope"]), float(raw["scl_inter"])
    if slope == 0 or math.isnan(slope) or (math.isfinite(slope) and math.isfinite(intercept)):
        return
    yield DataError(
        "the header scales the stored numbers by a factor that makes no sense",
        expected="a finite slope and intercept (slope 0: not scaled)",
        found=f"slope {slope}, intercept {intercept}",
        fix="Set scl_slope to the right factor, or to 0 if the stored numbers need none.",
        file=path,
        field="scl_slope",
    )


def open_series(source: Any) -> Any:
    """Open a 4-D image, or a sequence of 3-D images of one grid, as one 4-D image."""
    if isinstance(source, Sequence) and not isinstance(source, str):
        return _joined([load_image(one) for one in source], source)
    image = load_image(source)
    if len(image.shape) != 4:
        raise DataError(
            "this is not a series of volumes",
            expected="a 4-D image, or a list of 3-D images",
            found=f"shape {image.shape}",
            file=_name(source),
        )
    return image


def _joined(images: list[Any], sources: Sequence[Any]) -> Any:
    if not images:
        raise DataError("the list of images is empty", expected="at least one 3-D image", found=0)
    first = images[0]
    for image, source in zip(images, sources, strict=True):
        if len(image.shape) != 3 or image.shape != first.shape:
            raise DataError(
                "the volumes of the list do not have the same shape",
                expected=f"3-D images of {first.shape[:3]}",
                found=image.shape,
                file=_name(source),
            )
        if not np.allclose(image.affine, first.affine, atol=1e-4):
            raise DataError(
                "the volumes of the list lie on different grids",
                expected=first.affine.tolist(),
                found=image.affine.tolist(),
                fix="Realign them first.",
                file=_name(source),
                field="affine",
            )
    series = nib.concat_images(images, check_affines=False)
    series.header.set_zooms((*first.header.get_zooms()[:3], 0.0))  # nibabel would say 1 s
    return series


def _name(source: Any) -> Any:
    return source if isinstance(source, str | Path) else None


def tr_of(image: Any, tr_s: float | None, *, file: object = None) -> float:
    """Repetition time in seconds: the one given, or the one in the header if it is plausible.

    Raises
    ------
    DataError
        If none is given and the header's is absent, not in time units, or implausible.
    """
    if tr_s is not None:
        is_number = isinstance(tr_s, Real) and not isinstance(tr_s, bool)
        if not (is_number and math.isfinite(tr_s) and tr_s > 0):
            raise DataError("tr_s is not a duration", expected="seconds > 0", found=tr_s)
        return float(tr_s)
    zooms = image.header.get_zooms()
    stored = float(zooms[3]) if len(zooms) > 3 else 0.0
    unit = (
        image.header.get_xyzt_units()[1] if hasattr(image.header, "get_xyzt_units") else "unknown"
    )
    seconds = stored * _SECONDS.get(unit, 1.0 if unit == "unknown" else math.nan)
    if _is_plausible(seconds):
        return round(seconds, 6)  # stored in single precision
    raise _no_tr("the header has no usable", stored, f"{stored:g}, unit {unit!r}").at(
        file=file, field="pixdim[4]"
    )


def plausible_tr(stated: Any, *, file: object, field: str) -> float:
    """Return a repetition time in seconds that a file states, if it can be one.

    Raises
    ------
    DataError
        If it is not a number, or implausible.
    """
    if isinstance(stated, bool) or not isinstance(stated, Real):
        raise DataError(
            "the repetition time is not a number",
            expected="seconds",
            found=repr(stated),
            fix="Correct the file, or pass tr_s= in seconds.",
            file=file,
            field=field,
        )
    if _is_plausible(float(stated)):
        return float(stated)
    raise _no_tr("the file states no usable", float(stated), f"{stated:g}").at(
        file=file, field=field
    )


def _is_plausible(seconds: float) -> bool:
    low, high = _PLAUSIBLE_TR_S
    return low <= seconds <= high


def _no_tr(problem: str, stated: float, found: str) -> DataError:
    low, high = _PLAUSIBLE_TR_S
    guess = (
        f" {stated / 1000:g} s would be, if milliseconds are meant."
        if _is_plausible(stated / 1000)
        else ""
    )
    return DataError(
        f"{problem} repetition time (TR)",
        expected=f"between {low} and {high} s",
        found=found,
        fix=f"Pass tr_s= in seconds.{guess}",
    )


def needed(tr_s: float | None) -> float:
    """The repetition time given, for surface data that have none of their own."""
    if tr_s is None:
        raise DataError("surface data have no repetition time", fix="Pass tr_s= in seconds.")
    return tr_s


def as_3d(image: Any, name: str) -> Any:
    """A mask or label image without axes of length 1 behind the third.

    Raises
    ------
    DataError
        If more than three axes are longer.
    """
    if len(image.shape) > 3 and math.prod(image.shape[3:]) == 1:
        image = nib.squeeze_image(image)
    if len(image.shape) != 3:
        raise DataError(
            f"the {name} image is not 3-D",
            found=f"shape {image.shape}",
            fix="Pass an atlas of one map per region as maps=." if name == "labels" else None,
            field=name,
        )
    return image


def is_same_grid(one: Any, other: Any) -> bool:
    """Whether two images have the same voxels, up to the rounding of their affines."""
    return one.shape[:3] == other.shape[:3] and np.allclose(one.affine, other.affine, atol=1e-4)


def on_grid_of(image: Any, other: Any, name: str, interpolation: str = "nearest") -> Any:
    """Resample a mask, labels or map onto the grid of an image, if it has another one.

    Parameters
    ----------
    image : 4-D image
    other : 3-D image
    name : str
        What ``other`` is, for the message.
    interpolation : {"nearest", "linear"}
        The second for maps, as nilearn's NiftiMapsMasker resamples them.

    Raises
    ------
    DataError
        If the grids differ and the image does not say where its voxels are.
    """
    from nilearn.image import resample_to_img
    from nilearn.image.resampling import BoundingBoxError

    if is_same_grid(image, other):
        return other
    if isinstance(image.header, nib.Nifti1Header) and not (
        image.header["sform_code"] or image.header["qform_code"]
    ):
        raise DataError(
            f"the {name} has another grid than the image, and the image does not say where it lies",
            expected=f"shape {image.shape[:3]}, or an image with sform or qform",
            found=f"shape {other.shape}, sform_code 0 and qform_code 0",
            fix=f"Pass a {name} image on the grid of the data.",
            field=name,
        )
    try:
        return resample_to_img(other, image, interpolation=interpolation, copy_header=True)
    except BoundingBoxError as error:
        raise DataError(
            f"the {name} and the image do not overlap",
            expected="both in the same space",
            found=f"the image around {_middle(image)} mm, the {name} around {_middle(other)} mm",
            fix="Check that both are in the same space.",
            field=name,
        ) from error


def _middle(image: Any) -> list[float]:
    """Where the middle of an image lies, in mm."""
    middle = (np.array(image.shape[:3]) - 1) / 2
    return nib.affines.apply_affine(image.affine, middle).round(1).tolist()
