"""The volumes of an image, one after another, while the bytes of its file pass once."""

from __future__ import annotations

import gzip
import hashlib
import math
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import IO, Any

import numpy as np

from neuroml._core.files import sha256_of_file
from neuroml.data._arrays import MAX_EXPANSION, whole_gzip
from neuroml.data._nifti import claimed_bytes, wrong_size
from neuroml.exceptions import DataError

__all__ = ["VolumeStream"]

_BLOCK = 2**22


class VolumeStream:
    """The volumes of an opened 4-D image in order, each flat with the first axis fastest.

    A file is read, decompressed, fingerprinted and checked in one pass, in which one volume at a
    time is in memory. An image that has no file of its own is cut as it is.

    Parameters
    ----------
    image : nibabel image
        Of four dimensions.
    path : Path, optional
        The file that was asked for. Its size and checksum are then compared, and ``sha256`` is
        known once the last volume has passed; an image without it is read as nibabel would.

    Raises
    ------
    DataError
        While volumes pass: if the file ends too early or too late, or its checksum is wrong.
    """

    def __init__(self, image: Any, path: Path | None = None) -> None:
        self.image = image
        self.path = path
        self.sha256 = ""

    @property
    def n_volumes(self) -> int:
        """How many volumes the header claims."""
        return int(self.image.shape[3])

    def __iter__(self) -> Iterator[np.ndarray]:
        """Yield arrays of shape (n_voxels,), scaled as the header says."""
        proxy = self.image.dataobj
        name = self.image.file_map["image"].filename if hasattr(proxy, "offset") else None
        dtype = np.dtype(proxy.dtype)
        if dtype.kind not in "biuf":
            raise DataError("the voxels are no real numbers", found=str(dtype), file=self.path)
        if name is None or Path(name).suffix == ".bz2":
            values = np.asanyarray(proxy)
            for at in range(self.n_volumes):
                yield values[..., at].ravel(order="F")
        else:
            yield from map(self._scaled, self._stored(Path(name), dtype))
        if self.path is not None and not self.sha256:
            self.sha256 = sha256_of_file(self.path)

    def _scaled(self, stored: np.ndarray) -> np.ndarray:
        slope, intercept = (getattr(self.image.dataobj, name, None) for name in ("slope", "inter"))
        if slope in (None, 1) and intercept in (None, 0):
            return stored
        return stored.astype(np.float64) * (1 if slope is None else slope) + (intercept or 0)

    def _stored(self, file: Path, dtype: np.dtype) -> Iterator[np.ndarray]:
        """Volumes as they are stored, and then what is wrong with the file's size."""
        n_bytes = math.prod(self.image.shape[:3]) * dtype.itemsize
        is_packed = file.suffix == ".gz"
        if self.path is not None:  # before memory is asked for what cannot be there
            at_most = file.stat().st_size * (MAX_EXPANSION if is_packed else 1)
            if at_most < claimed_bytes(self.image):
                raise wrong_size(self.image, at_most, self.path)
        with file.open("rb") as raw, whole_gzip(file) if is_packed else nullcontext():
            digesting: Any = _Digesting(raw)
            handle = gzip.GzipFile(fileobj=digesting) if is_packed else digesting
            there = len(handle.read(self.image.dataobj.offset))
            for _ in range(self.n_volumes):
                content = handle.read(n_bytes)
                there += len(content)
                if len(content) < n_bytes:
                    break
                yield np.frombuffer(content, dtype)
            while self.path is not None and (rest := handle.read(_BLOCK)):
                there += len(rest)  # up to the checksum at the end
        if there != claimed_bytes(self.image):
            raise wrong_size(self.image, there, self.path)
        if file == self.path:
            self.sha256 = digesting.hexdigest()


class _Digesting:
    """An open file whose bytes are fingerprinted as they are read."""

    def __init__(self, handle: IO[bytes]) -> None:
        self._handle = handle
        self._digest = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        """Read up to so many bytes."""
        content = self._handle.read(size)
        self._digest.update(content)
        return content

    def hexdigest(self) -> str:
        """SHA-256 of the bytes that were read."""
        return self._digest.hexdigest()
