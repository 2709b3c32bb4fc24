"""What a recording carries so that values of its units can become a brain image again.

One string of JSON, ``attrs["image"]``, says which grid or mesh the units came from, and the
coordinate ``image_index (unit)`` says where on it each unit is. A string survives every way in
which recordings are copied or stored. The labels of an atlas travel in it, on the grid of the data
and compressed (tens of kilobytes for a published atlas in 2 mm), since a file that lies elsewhere
by then, or an atlas from memory, could not be found again. Probabilistic atlases are a hundred
times as large: of them the file's name travels, with its fingerprint. All runs that share an atlas
share one string in memory.
"""

from __future__ import annotations

import base64
import json
import sys
import zlib
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from neuroml._core.files import sha256_of_file
from neuroml.data._bids_names import entities_of

__all__ = [
    "describe_grayordinates",
    "describe_vertices",
    "describe_volume",
    "space_of",
    "unpacked",
    "unpacked_text",
]

_SPACES = {1: "scanner", 2: "aligned", 3: "Talairach", 4: "MNI152"}
"""What the sform_code of NIfTI-1 says, where the name of the file says nothing."""


def space_of(image: Any, path: Path | None) -> str:
    """The space that a file's name (BIDS' entity) or else its header names, or nothing."""
    named = None if path is None else entities_of(path).get("space")
    return named or _SPACES.get(_space_code(image), "")


def _space_code(image: Any) -> int:
    header = getattr(image, "header", None)
    if not isinstance(header, nib.Nifti1Header):
        return 0
    return int(header["sform_code"]) or int(header["qform_code"])


def describe_volume(image: Any, *, labels: np.ndarray | None = None, maps: Any = None) -> str:
    """Describe the grid of an image (x, y, z), with labels on it or the file of its maps."""
    about = {
        "form": "nifti",
        "shape": [int(n) for n in image.shape[:3]],
        "affine": np.asarray(image.affine, dtype=np.float64).tolist(),
        "code": _space_code(image),
    }
    if maps is not None:
        is_file = isinstance(maps, str | Path)
        path = Path(maps).resolve() if is_file else None
        about["maps"] = None if path is None else str(path)
        about["maps_sha256"] = None if path is None else sha256_of_file(path)
    return _as_text(about, None if labels is None else labels.ravel(order="F"))


def describe_vertices(image: nib.GiftiImage, n: int, labels: np.ndarray | None = None) -> str:
    """Describe the n vertices of one hemisphere, with a label each."""
    both = [image.meta, *(array.meta for array in image.darrays[:1])]
    key = "AnatomicalStructurePrimary"
    structure = next((meta[key] for meta in both if key in meta), "")
    return _as_text({"form": "gifti", "shape": [n], "structure": structure}, labels)


def describe_grayordinates(axis: Any, labels: np.ndarray | None = None) -> str:
    """Describe the grayordinates or parcels of a CIFTI axis, with a label each."""
    maps = nib.cifti2.ScalarAxis(["map"])
    xml = nib.cifti2.Cifti2Header.from_axes((maps, axis)).to_xml()
    return _as_text({"form": "cifti", "shape": [len(axis)], "axis": _packed(xml)}, labels)


def _as_text(about: dict[str, Any], labels: np.ndarray | None) -> str:
    if labels is not None:
        small = labels.astype(np.min_scalar_type(max(int(labels.max(initial=0)), 0)))
        small = small.astype(small.dtype.newbyteorder("<"))
        about |= {"labels": _packed(small.tobytes()), "dtype": small.dtype.str}
    return sys.intern(json.dumps(about, sort_keys=True))


def _packed(content: bytes) -> str:
    return base64.b64encode(zlib.compress(content)).decode()


def unpacked_text(packed: str) -> bytes:
    """What `describe_grayordinates` packed."""
    return zlib.decompress(base64.b64decode(packed))


def unpacked(about: dict[str, Any]) -> np.ndarray | None:
    """The labels, flat, that a description holds."""
    if "labels" not in about:
        return None
    return np.frombuffer(unpacked_text(about["labels"]), about["dtype"]).astype(np.int64)
