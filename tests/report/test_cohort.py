"""One picture of all jobs: matched components, and what is drawn where they do not correspond."""

import numpy as np
import pandas as pd
import pytest

from neuroml.report.cohort import CohortView, cohort_panel, matched
from neuroml.report.evaluation import evaluated

VIEW = CohortView(("weight", "intercept"), component="state", value="weight")


def tables(folder, values, names, rng):
    """A table for each job, its states in an order of their own; the last name is the bias."""
    jobs = []
    for j, job in enumerate(values):
        (folder / "jobs" / f"j{j}").mkdir(parents=True)
        order = rng.permutation(len(job))
        rows = [
            ("intercept" if name == "bias" else "weight", k, "output" if name == "bias" else "input of y",
             "y" if name == "bias" else name, job[order[k], m])
            for k in range(len(job)) for m, name in enumerate(names)
        ]  # fmt: skip
        columns = ["quantity", "component", "axis", "label", "value"]
        pd.DataFrame(rows, columns=columns).to_csv(
            folder / "jobs" / f"j{j}" / "table.csv", index=False
        )
        jobs.append({"name": f"j{j}", "facts": {"score": float(j), "n_iter": j}})
    return jobs


def planted(n_jobs=6, n_states=3, n_labels=4, seed=0):
    rng = np.random.default_rng(seed)
    common = 3 * rng.normal(size=(n_states, n_labels))
    return common + 0.3 * rng.normal(size=(n_jobs, n_states, n_labels)), rng


def test_states_in_any_order_are_matched():
    values, rng = planted()
    mixed = np.stack([job[rng.permutation(len(job))] for job in values])
    found = matched(mixed)
    order = [int(np.argmin(((values.mean(0) - one) ** 2).sum(1))) for one in found.mean(0)]
    assert sorted(order) == [0, 1, 2]
    np.testing.assert_array_equal(found, values[:, order])


def test_weights_and_bias_of_every_job_are_drawn(tmp_path):
    values, rng = planted()
    jobs = tables(tmp_path, values, ["a", "b", "c", "bias"], rng)
    panel = cohort_panel(VIEW, tmp_path, jobs)
    axes = panel.figure.axes
    assert [ax.get_title(loc="left") for ax in axes] == ["state 0", "state 1", "state 2"]
    assert [t.get_text() for t in axes[0].get_xticklabels()] == ["a", "b", "c", "bias"]
    dots = sorted(
        line.get_ydata()[0] for ax in axes for line in ax.lines if line.get_marker() == "."
    )
    assert len(dots) == 12 and "matched" in panel.caption


def test_many_labels_are_drawn_as_agreement(tmp_path):
    values, rng = planted(n_labels=30)
    names = [f"u{i:02d}" for i in range(29)] + ["bias"]
    panel = cohort_panel(VIEW, tmp_path, tables(tmp_path, values, names, rng))
    likeness = panel.figure.axes[0].images[0].get_array()
    assert likeness.shape == (6, 3) and likeness.min() > 0.9


@pytest.mark.parametrize("view", [None, VIEW])
def test_what_does_not_correspond_is_drawn_as_numbers(view, tmp_path):
    values, rng = planted(n_jobs=2)
    jobs = tables(tmp_path, values, ["a", "b", "c", "bias"], rng)
    path = tmp_path / "jobs" / "j0" / "table.csv"
    path.write_text(path.read_text().replace(",a,", ",x,").replace(",b,", ",y,").replace(
        ",c,", ",z,").replace("intercept", "other"))  # fmt: skip
    panel = cohort_panel(view, tmp_path, jobs)
    assert [ax.get_xlabel() for ax in panel.figure.axes] == ["score"]  # no n_iter: a diagnostic
    assert cohort_panel(view, tmp_path, jobs[:1]) is None


def test_p_of_several_jobs_is_that_of_their_mean(tmp_path):
    rng = np.random.default_rng(0)
    jobs = []
    null = rng.normal(size=(3, 19))
    for j in range(3):
        folder = tmp_path / "jobs" / f"j{j}"
        folder.mkdir(parents=True)
        rows = [("m", f"j{j}", f"s{j}", k, "r2", 0.8 + 0.1 * j) for k in range(2)]
        rows += [("baseline: b", f"j{j}", f"s{j}", k, "r2", 0.1) for k in range(2)]
        columns = ["model", "job", "subject", "fold", "scoring", "value"]
        pd.DataFrame(rows, columns=columns).to_csv(folder / "scores.csv", index=False)
        draws = [("r2", model, b, value) for model in ("m", "baseline: b")
                 for b, value in enumerate(null[j])]  # fmt: skip
        pd.DataFrame(draws, columns=["scoring", "model", "permutation", "value"]).to_csv(
            folder / "null.csv", index=False
        )
        summary = ["model", "mean", "difference", "ci_low", "ci_high", "n_subjects_above",
                   "n_subjects", "p"]  # fmt: skip
        pd.DataFrame([("m", 0.8, 0.7, 0.6, 0.8, 1, 1, 0.05)], columns=summary).to_csv(
            folder / "evaluation.csv", index=False
        )
        jobs.append({"name": f"j{j}", "test_share": 0.5})
    found = evaluated(tmp_path, jobs)
    expected = (1 + (null.mean(axis=0) >= 0.9).sum()) / 20
    assert float(found["models"][0]["p"]) == pytest.approx(expected, rel=1e-2)
    assert len(found["jobs"]) == 3
