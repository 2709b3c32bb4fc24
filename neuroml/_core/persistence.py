"""The saver: a fitted estimator as one .safetensors file, arrays plus a JSON header; never pickle.

The header holds the estimator's parameters and fitted attributes as plain JSON, in which every
array is a reference to a tensor of the file. Classes are looked up in the package's tables of
public names and a short list of scikit-learn's; anything else is refused in both directions.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import math
import struct
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from safetensors import SafetensorError
from safetensors.numpy import load as deserialize
from safetensors.numpy import save as serialize
from sklearn.base import BaseEstimator

import neuroml
from neuroml._core.estimator import given_requests, set_requests
from neuroml._core.files import atomic_write
from neuroml._core.torch_state import as_tensor
from neuroml.exceptions import DataError

if TYPE_CHECKING:
    from tensorly.cp_tensor import CPTensor
    from torch import nn

__all__ = [
    "FORMAT_VERSION",
    "describe",
    "fingerprint",
    "load",
    "read_state",
    "save",
    "write_state",
]

FORMAT_VERSION = 2
_SKLEARN_CLASSES = {
    "sklearn.pipeline.Pipeline",
    "sklearn.preprocessing.StandardScaler",
    "sklearn.decomposition.PCA",
}
_TAG = "__kind__"


def save(estimator: BaseEstimator, path: Path | str) -> Path:
    """Write an estimator, fitted or not, to one ``.safetensors`` file.

    The file appears whole or not at all, and holds no executable content.

    Parameters
    ----------
    estimator : BaseEstimator
        A public estimator of neuroml, or a scikit-learn Pipeline of such.
    path : path-like
        Where to write; the name must end in ``.safetensors``.

    Returns
    -------
    pathlib.Path
        The path written.

    Raises
    ------
    DataError
        If the name has another suffix, or an attribute holds something that is neither an array,
        plain data, a module's weights, nor a public estimator.
    """
    path = Path(path)
    if path.suffix != ".safetensors":
        raise DataError(
            "models are saved as .safetensors",
            expected="a name ending in .safetensors",
            found=path.name,
        )
    atomic_write(path, _as_bytes("estimator", estimator, type(estimator).__name__))
    return path


def _as_bytes(kind: str, value: Any, where: str) -> bytes:
    """The content of a file that holds one value."""
    writer = _Writer()
    header = {
        "format": "neuroml",
        "format_version": FORMAT_VERSION,
        "neuroml_version": neuroml.__version__,
        kind: writer.encode(value, where),
    }
    return serialize(writer.arrays, metadata={"neuroml": json.dumps(header)})


def write_state(state: dict[str, Any], path: Path) -> None:
    """Write where a computation stands (plain data, arrays, tensors) as `save` writes a model."""
    atomic_write(path, _as_bytes("state", state, "state"))


def read_state(path: Path) -> dict[str, Any]:
    """Read back what `write_state` wrote.

    Raises
    ------
    DataError
        If the file is damaged, or is none of these.
    """
    header = _read_header(path, "state")
    return _Reader(_read_arrays(path), None).decode(header["state"])


def fingerprint(values: dict[str, Any]) -> str:
    """Return a hash of plain data, arrays, tensors and modules' weights."""
    writer = _Writer()
    digest = hashlib.sha256(json.dumps(writer.encode(values, "")).encode())
    for array in writer.arrays.values():
        digest.update(f"{array.dtype.str}{array.shape}".encode() + array.tobytes())
    return digest.hexdigest()


def load(path: Path | str, module: nn.Module | None = None) -> Any:
    """Read back what `save` wrote.

    Parameters
    ----------
    path : path-like
        A file written by `save`.
    module : torch.nn.Module, optional
        For estimators fitted around a module of the user's own: a module of the same architecture,
        into which the saved weights are loaded.

    Returns
    -------
    estimator : BaseEstimator
        With the same parameters and fitted attributes, bit for bit.

    Raises
    ------
    DataError
        If the file is damaged, is not neuroml's, was written by a newer format version, or names a
        parameter that its class no longer has.
    """
    path = Path(path)
    header = _read_header(path)
    return _Reader(_read_arrays(path), module).decode(header["estimator"])


def _read_arrays(path: Path) -> dict[str, np.ndarray]:
    try:
        return deserialize(path.read_bytes())
    except SafetensorError as error:
        raise DataError(
            "the model file is damaged", found=str(error), fix="Fit and save it again.", file=path
        ) from error


def describe(path: Path | str) -> dict[str, Any]:
    """Say what a saved model is without reading its arrays.

    Returns
    -------
    dict
        The class, the version of neuroml that wrote it, and each parameter and fitted attribute:
        plain values as they are, others by their kind.

    Raises
    ------
    DataError
        As `load`.
    """
    header = _read_header(Path(path))
    return {
        "written by neuroml-learn": header["neuroml_version"],
        **dict(_outline(header["estimator"], "")),
    }


def _outline(encoded: Any, name: str) -> Iterator[tuple[str, Any]]:
    """Name and value, or kind, of everything an encoded estimator holds."""
    kind = encoded.get(_TAG) if isinstance(encoded, dict) else None
    if kind == "estimator":
        yield f"{name}.class" if name else "class", encoded["class"]
        for key, value in encoded["state"].items():
            yield from _outline(value, f"{name}.{key}" if name else key)
    elif kind == "tuple" or isinstance(encoded, list):
        items = encoded if isinstance(encoded, list) else encoded["items"]
        if any(isinstance(item, dict) for item in items):
            for number, item in enumerate(items):
                yield from _outline(item, f"{name}[{number}]")
        else:
            yield name, items
    elif kind == "array" and "key" in encoded:
        yield name, f"array of shape {tuple(encoded['shape'])}"
    else:
        yield name, encoded if kind is None else f"({kind})"


def _read_header(path: Path, kind: str = "estimator") -> dict[str, Any]:
    model = kind == "estimator"
    foreign = DataError(
        f"this is not a {'model saved' if model else 'checkpoint written'} by neuroml",
        expected="a .safetensors file written by neuroml.save" if model else "one of a training",
        file=path,
    )
    try:
        with path.open("rb") as handle:
            (length,) = struct.unpack("<Q", handle.read(8))
            if length > path.stat().st_size - 8:
                raise foreign
            content = json.loads(handle.read(length))
        header = json.loads(content["__metadata__"]["neuroml"])
        version, _ = header["format_version"], header[kind]
    except FileNotFoundError:
        raise
    except (OSError, struct.error, ValueError, KeyError, TypeError) as error:
        raise foreign from error
    if version > FORMAT_VERSION:
        raise DataError(
            "the model was written by a newer neuroml",
            expected=f"format version <= {FORMAT_VERSION}",
            found=version,
            fix=f"Install neuroml-learn >= {header.get('neuroml_version')}.",
            file=path,
        )
    return header


def _allowed_class(name: str) -> type[BaseEstimator]:
    """Look a class up by its public name, or refuse it."""
    module_name, _, class_name = name.rpartition(".")
    family = module_name.removeprefix("neuroml.")
    if name in _SKLEARN_CLASSES:
        return getattr(importlib.import_module(module_name), class_name)
    if module_name.startswith("neuroml.") and family in neuroml._FAMILIES:
        module = importlib.import_module(module_name)
        found = getattr(module, class_name, None) if class_name in module.__all__ else None
        if isinstance(found, type) and issubclass(found, BaseEstimator):
            return found
    raise DataError("this class is not one that neuroml saves or loads", found=name)


def _public_name(estimator: BaseEstimator) -> str:
    """The name under which users import an estimator's class, checked against the allow-list."""
    parts = type(estimator).__module__.split(".")
    name = f"{parts[0]}.{parts[1] if len(parts) > 1 else ''}.{type(estimator).__name__}"
    if _allowed_class(name) is not type(estimator):
        raise DataError("this class is not one that neuroml saves or loads", found=name)
    return name


class _Writer:
    """Turns values into JSON, setting arrays aside under the path that leads to them."""

    def __init__(self) -> None:
        self.arrays: dict[str, np.ndarray] = {}

    def set_aside(self, array: np.ndarray, where: str) -> str:
        """Keep an array under a name of its own: paths are for readers, and may coincide."""
        key = f"{len(self.arrays)}:{where}"
        self.arrays[key] = array
        return key

    def encode(self, value: Any, where: str) -> Any:
        if value is None or type(value) in (bool, int, str):
            return value
        if type(value) is float and math.isfinite(value):
            return value
        if type(value) is list:
            return [self.encode(item, f"{where}/{i}") for i, item in enumerate(value)]
        for kind, codec in _CODECS.items():
            if codec.accepts(value):
                return {_TAG: kind, **codec.encode(self, value, where)}
        raise DataError(
            "this value cannot be saved",
            expected="arrays, numbers, text, lists, dicts, tables, weights or public estimators",
            found=type(value).__name__,
            fix="Use an integer random_state; keep functions and open files out of the estimator.",
            field=where,
        )


class _Reader:
    """The inverse of `_Writer`."""

    def __init__(self, arrays: dict[str, np.ndarray], module: nn.Module | None) -> None:
        self.arrays = arrays
        self.module = module

    def decode(self, encoded: Any) -> Any:
        if isinstance(encoded, list):
            return [self.decode(item) for item in encoded]
        if isinstance(encoded, dict):
            return _CODECS[encoded[_TAG]].decode(self, encoded)
        return encoded

    def fill_module(self, estimator: BaseEstimator, weights: dict[str, Any]) -> nn.Module:
        """Give the user's module, or one the estimator builds itself, its saved weights."""
        from torch import from_numpy

        module = self.module
        if module is None and hasattr(estimator, "_build_module"):
            module = estimator._build_module()
        if module is None:
            raise DataError(
                f"this {type(estimator).__name__} was fitted around a module of yours",
                fix="Pass a module of the same architecture: load(path, module=...).",
            )
        arrays = {name: self.decode(array) for name, array in weights.items()}
        module.load_state_dict({name: from_numpy(array.copy()) for name, array in arrays.items()})
        return module


def _encode_array(writer: _Writer, value: np.ndarray, where: str) -> dict[str, Any]:
    kind = value.dtype.kind
    if kind in "OUT":
        items = [
            writer.encode(item, f"{where}/{i}") for i, item in enumerate(value.ravel().tolist())
        ]
        return {
            "items": items,
            "dtype": "O" if kind == "O" else value.dtype.str,
            "shape": value.shape,
        }
    if kind not in "biufc" or value.dtype.itemsize > 16 or value.dtype == np.longdouble:
        raise DataError("arrays of this type cannot be saved", found=value.dtype, field=where)
    native = value.astype(value.dtype.newbyteorder("="), order="C", copy=False)
    # safetensors knows no complex128: real and imaginary parts become a last axis of length two.
    plain = native if kind != "c" else native.reshape(*native.shape, 1).view(native.real.dtype)
    # safetensors stores wrong values for arrays that are not C-contiguous, without an error.
    self_contained = np.ascontiguousarray(plain).reshape(plain.shape)
    key = writer.set_aside(self_contained, where)
    return {"key": key, "complex": kind == "c", "shape": value.shape}


def _decode_array(reader: _Reader, encoded: dict[str, Any]) -> np.ndarray:
    if "items" in encoded:
        flat = np.empty(len(encoded["items"]), dtype=encoded["dtype"])
        for place, item in enumerate(encoded["items"]):  # one by one: items may be arrays
            flat[place] = reader.decode(item)
        return flat.reshape(encoded["shape"])
    array = reader.arrays[encoded["key"]]
    if encoded["complex"]:
        return array.view(np.result_type(array.dtype, np.complex64))[..., 0]
    return array


def _encode_dict(writer: _Writer, value: dict[Any, Any], where: str) -> dict[str, Any]:
    pairs = [[writer.encode(k, where), writer.encode(v, f"{where}/{k}")] for k, v in value.items()]
    return {"items": pairs}


def _encode_index(writer: _Writer, value: pd.Index, where: str) -> dict[str, Any]:
    """Labels with their type and names; a MultiIndex as its levels and codes, a range as such."""
    names = writer.encode(list(value.names), where)
    if isinstance(value, pd.RangeIndex):
        return {"names": names, "range": [value.start, value.stop, value.step]}
    if isinstance(value, pd.MultiIndex):
        levels = [writer.encode(level, f"{where}/level") for level in value.levels]
        codes = [writer.encode(np.asarray(codes), f"{where}/codes") for codes in value.codes]
        return {"names": names, "levels": levels, "codes": codes}
    return {"names": names, **_encode_values(writer, value, where)}


def _decode_index(reader: _Reader, encoded: dict[str, Any]) -> pd.Index:
    names = reader.decode(encoded["names"])
    if "range" in encoded:
        start, stop, step = encoded["range"]
        return pd.RangeIndex(start, stop, step, name=names[0])
    if "levels" in encoded:
        levels, codes = reader.decode(encoded["levels"]), reader.decode(encoded["codes"])
        return pd.MultiIndex(levels=levels, codes=codes, names=names)
    return pd.Index(reader.decode(encoded["values"]), dtype=encoded["dtype"], name=names[0])


def _encode_values(writer: _Writer, value: pd.Index | pd.Series, where: str) -> dict[str, Any]:
    """Values and type of an index or a column."""
    dtype: Any = value.dtype
    is_text = isinstance(dtype, pd.StringDtype)
    if not is_text and not (isinstance(dtype, np.dtype) and dtype.kind in "biufcO"):
        raise DataError(
            "tables with values of this type cannot be saved",
            expected="numbers, truth values, text or objects",
            found=dtype,
            fix="Convert the column with astype(float) or astype(str).",
            field=where,
        )
    # numpy names keep the byte order away: arrays come back in the machine's own
    name = ("str" if dtype == "str" else "string") if is_text else dtype.newbyteorder("=").name
    values = value.to_numpy()
    if is_text:  # what is missing in text is no text: None, whatever pandas calls it
        values = np.array([None if pd.isna(item) else item for item in value], dtype=object)
    return {"values": writer.encode(values, where), "dtype": name}


def _encode_table(writer: _Writer, value: pd.DataFrame, where: str) -> dict[str, Any]:
    columns = [value.iloc[:, place] for place in range(value.shape[1])]
    return {
        "index": writer.encode(value.index, f"{where}/index"),
        "columns": writer.encode(value.columns, f"{where}/columns"),
        "data": [_encode_values(writer, column, f"{where}/{column.name}") for column in columns],
    }


def _decode_table(reader: _Reader, encoded: dict[str, Any]) -> pd.DataFrame:
    index = reader.decode(encoded["index"])
    if "data" not in encoded:  # format 1: labels as text, the index as an array
        columns = {name: reader.decode(column) for name, column in encoded["columns"].items()}
        return pd.DataFrame(columns, index=index)
    data = {
        place: pd.Series(reader.decode(column["values"]), index=index, dtype=column["dtype"])
        for place, column in enumerate(encoded["data"])
    }
    table = pd.DataFrame(data, index=index)
    table.columns = reader.decode(encoded["columns"])
    return table


def _encode_cp(writer: _Writer, value: CPTensor, where: str) -> dict[str, Any]:
    return {
        "weights": writer.encode(value.weights, f"{where}/weights"),
        "factors": writer.encode(list(value.factors), f"{where}/factors"),
    }


def _decode_cp(reader: _Reader, encoded: dict[str, Any]) -> CPTensor:
    from tensorly.cp_tensor import CPTensor

    return CPTensor((reader.decode(encoded["weights"]), reader.decode(encoded["factors"])))


def _encode_estimator(writer: _Writer, value: BaseEstimator, where: str) -> dict[str, Any]:
    state = {
        name: writer.encode(item, f"{where}.{name}")
        for name, item in vars(value).items()
        if name != "_metadata_request"
    }
    requests = writer.encode(given_requests(value), f"{where}.requests")
    return {"class": _public_name(value), "state": state, "requests": requests}


def _decode_estimator(reader: _Reader, encoded: dict[str, Any]) -> BaseEstimator:
    cls = _allowed_class(encoded["class"])
    modules = {
        k: v for k, v in encoded["state"].items() if isinstance(v, dict) and v[_TAG] == "module"
    }
    # a parameter younger than the file keeps its default; a user's module is the one passed in
    parameters = set(cls._get_param_names())
    dropped = _check_parameters(cls, encoded["state"].keys() - parameters)
    state = {
        k: reader.decode(v)
        for k, v in encoded["state"].items()
        if k not in modules.keys() | dropped
    }
    given = {name: state[name] for name in parameters & state.keys()}
    estimator = cls(**given, **dict.fromkeys(parameters & modules.keys(), reader.module))
    for name, value in state.items():
        setattr(estimator, name, value)
    for name, weights in modules.items():
        setattr(estimator, name, reader.fill_module(estimator, weights["weights"]))
    if encoded.get("requests") is not None:  # older files have none
        set_requests(estimator, reader.decode(encoded["requests"]))
    return estimator


def _check_parameters(cls: type[BaseEstimator], others: Iterable[str]) -> set[str]:
    """Parameters of a file that its class no longer has, refused unless they changed no result.

    What is fitted ends with an underscore, or begins with one where it is private; whatever else an
    estimator holds was a parameter when the file was written. A class says in
    ``_former_parameters`` what to do instead of one, or None if a model is the same without it.
    """
    if not cls.__module__.startswith("neuroml."):
        return set()
    former = sorted(name for name in others if not (name.endswith("_") or name.startswith("_")))
    known: dict[str, str | None] = getattr(cls, "_former_parameters", {})
    if any(known.get(name, "") is not None for name in former):
        instead = [text for name in former if (text := known.get(name))]
        raise DataError(
            f"the file is of an older neuroml, whose {cls.__name__} had other parameters",
            expected=", ".join(cls._get_param_names()),
            found=", ".join(former),
            fix=" ".join([*instead, "Fit the model again and save it."]),
        )
    return set(former)


def _encode_module(writer: _Writer, value: nn.Module, where: str) -> dict[str, Any]:
    weights = {name: tensor.detach().cpu().numpy() for name, tensor in value.state_dict().items()}
    return {"weights": {name: writer.encode(w, f"{where}/{name}") for name, w in weights.items()}}


def _is_a(name: str) -> Callable[[Any], bool]:
    """A test for a class by its full name, which does not import its package."""
    return lambda value: any(f"{c.__module__}.{c.__name__}" == name for c in type(value).__mro__)


@dataclass(frozen=True)
class _Codec:
    """How values of one kind become JSON and come back."""

    accepts: Callable[[Any], bool]
    encode: Callable[[_Writer, Any, str], dict[str, Any]]
    decode: Callable[[_Reader, dict[str, Any]], Any]


_CODECS = {
    "float": _Codec(
        lambda value: type(value) is float,
        lambda writer, value, where: {"value": repr(value)},
        lambda reader, encoded: float(encoded["value"]),
    ),
    "tuple": _Codec(
        lambda value: type(value) is tuple,
        lambda writer, value, where: {"items": writer.encode(list(value), where)},
        lambda reader, encoded: tuple(reader.decode(encoded["items"])),
    ),
    "dict": _Codec(
        lambda value: type(value) is dict,
        _encode_dict,
        lambda reader, encoded: {reader.decode(k): reader.decode(v) for k, v in encoded["items"]},
    ),
    "scalar": _Codec(
        lambda value: isinstance(value, np.generic),
        lambda writer, value, where: {"array": writer.encode(np.asarray(value), where)},
        lambda reader, encoded: reader.decode(encoded["array"])[()],
    ),
    "array": _Codec(lambda value: type(value) is np.ndarray, _encode_array, _decode_array),
    "table": _Codec(lambda value: isinstance(value, pd.DataFrame), _encode_table, _decode_table),
    "index": _Codec(lambda value: isinstance(value, pd.Index), _encode_index, _decode_index),
    "device": _Codec(
        _is_a("torch.device"),
        lambda writer, value, where: {"name": str(value)},
        lambda reader, encoded: importlib.import_module("torch").device(encoded["name"]),
    ),
    "cp_tensor": _Codec(_is_a("tensorly.cp_tensor.CPTensor"), _encode_cp, _decode_cp),
    "tensor": _Codec(
        _is_a("torch.Tensor"),
        lambda writer, value, where: {"array": writer.encode(value.detach().cpu().numpy(), where)},
        lambda reader, encoded: as_tensor(reader.decode(encoded["array"])),
    ),
    "module": _Codec(
        _is_a("torch.nn.modules.module.Module"), _encode_module, lambda reader, encoded: None
    ),
    "estimator": _Codec(
        lambda value: isinstance(value, BaseEstimator), _encode_estimator, _decode_estimator
    ),
}
