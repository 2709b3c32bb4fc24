"""A recipe's ``[data.events]``: labels of samples, or events as rows."""

from __future__ import annotations

import pandas as pd
import xarray as xr

from neuroml._core.recording import key_of, make_recording, name_of
from neuroml._core.validation import list_some
from neuroml.batch.recipe import EventsSection
from neuroml.batch.vocabulary import LABEL
from neuroml.data import epochs, labels_from_events
from neuroml.exceptions import DataError

__all__ = ["label_rows", "no_events", "no_labels"]


def label_rows(
    section: EventsSection, recording: xr.Dataset, events: pd.DataFrame | None
) -> xr.Dataset:
    """Put the labels of events beside the signal, or make a row of each event.

    Parameters
    ----------
    section : EventsSection
    recording : Dataset
        As it was cleaned, with time in seconds on the events' clock.
    events : DataFrame or None
        BIDS columns ``onset`` and ``duration`` (s), and that of the labels.

    Returns
    -------
    Dataset
        A recording with the variable "label" on ``time``. Where events are rows, its time counts
        them, and its segments are those that the events lie in.

    Raises
    ------
    DataError
        If there are no events, or they cannot label the recording.
    """
    subject = name_of(recording)
    if events is None:
        raise no_events().at(subject=subject)
    if section.label not in events or events[section.label].isna().any():
        raise no_labels(section.label, events).at(subject=subject)
    if section.epoch_s is not None:
        return _as_rows(section, recording, events, section.epoch_s)
    labels = labels_from_events(recording, events, lag_s=section.lag_s, column=section.label)
    dropped = recording.attrs["dropped"] + labels.attrs["dropped"]
    return recording.assign({LABEL: labels}).assign_attrs(dropped=dropped)


def no_events() -> DataError:
    """The error for a recording without a table of events."""
    return DataError(
        "the recording has no table of events, which [data.events] needs",
        expected="*_events.tsv beside the raw run or above it",
        found="none",
        fix="Name the raw data set by raw in data.options, or leave the run out by data.subjects, "
        "data.sessions, data.runs or data.entities.",
        field="data.events",
    )


def no_labels(label: str, events: pd.DataFrame) -> DataError:
    """The error for events that have no such column, or empty cells in it."""
    empty = int(events[label].isna().sum()) if label in events else 0
    return DataError(
        "the events lack labels",
        expected=f"a column {label!r} without empty cells",
        found=f"{empty} empty cells" if empty else list_some(list(map(str, events))),
        field="data.events.label",
    )


def _as_rows(
    section: EventsSection, recording: xr.Dataset, events: pd.DataFrame, epoch_s: tuple
) -> xr.Dataset:
    """The mean of each unit around each event, as a recording that keeps its units."""
    cut = epochs(recording, events, *epoch_s)
    segment = recording["segment"].sel(time=cut["onset"].values, method="nearest").values
    units = recording["unit"].coords
    rows = make_recording(
        cut.mean("time").values,
        units=recording["unit"].values.tolist(),
        time_axis="trials",
        modality=recording.attrs["modality"],
        value_units=recording.attrs["value_units"],
        key=key_of(recording),
        segment=segment,
        unit_coords={str(n): c.values for n, c in units.items() if n != "unit"},
        variables={LABEL: xr.DataArray(cut[section.label].values.astype(str), dims="time")},
        source=recording.attrs["source"],
        sha256=recording.attrs["sha256"],
        dropped=recording.attrs["dropped"] + cut.attrs["dropped"],
    )
    more = {name: value for name, value in recording.attrs.items() if name not in rows.attrs}
    return rows.assign_attrs(more)
