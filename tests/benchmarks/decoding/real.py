"""Real recordings against baselines and nulls: a story in 27 brains, eight classes in one."""

import warnings

import numpy as np
from measure import table
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import LeaveOneGroupOut, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from neuroml.data import clean, load_dataset
from neuroml.decoding import CrossSubjectDecoder, PrototypeClassifier, RidgeDecoder
from neuroml.decoding.metrics import feature_correlation, permutation_test, subject_interval

N_PARTS, GAP, LAG = 4, 8, 2  # 8 samples of 2 s: at least 15 s; 2 of 2.5 s: the peak of the response


def standard(X):
    spread = X.std(axis=0)
    return (X - X.mean(axis=0)) / np.where(spread > 0, spread, 1.0)


def story():
    """Six regions of 27 people and twelve regressors of the story they hear."""
    X, y = {}, {}
    for recording in load_dataset("alice_fmri").recordings:
        cleaned = clean(recording, detrend=True, high_pass_hz=0.01, confounds=True)
        subject = recording.attrs["subject"]
        X[subject] = standard(cleaned["signal"].values.astype(float))
        y[subject] = standard(cleaned["covariates"].values[:, :12].astype(float))
    return X, y


def others_pooled(X, y, subject, train, test):
    """One ridge decoder for all others, whose regions are the same; nothing of the subject."""
    rest = [s for s in X if s != subject]
    model = RidgeDecoder().fit(
        np.vstack([X[s][train] for s in rest]), np.vstack([y[s][train] for s in rest])
    )
    return model.predict(X[subject][test])


def own_ridge(X, y, subject, train, test):
    return RidgeDecoder().fit(X[subject][train], y[subject][train]).predict(X[subject][test])


def adapted(X, y, subject, train, test):
    rest = [s for s in X if s != subject]
    model = CrossSubjectDecoder().fit(
        {s: X[s][train] for s in rest}, {s: y[s][train] for s in rest}
    )
    new = model.adapt(X[subject][train], y[subject][train], subject=subject)
    return new.predict(X[subject][test], subject=subject)


def decode_story(X, y, predict, *, leave_out_segment=True):
    """Predictions and truth of every subject's every quarter of the story."""
    predicted, truth = {}, {}
    for subject in X:
        samples = np.arange(len(X[subject]))
        for i, test in enumerate(np.array_split(samples, N_PARTS)):
            near = (samples >= test[0] - GAP) & (samples <= test[-1] + GAP)
            train = samples[~near] if leave_out_segment else samples
            predicted[subject, i] = predict(X, y, subject, train, test)
            truth[subject, i] = y[subject][test]
    return predicted, truth


def mean_correlation(predicted, truth):
    return float(feature_correlation(predicted, truth).mean())


def by_person(predicted, truth):
    people = dict.fromkeys(subject for subject, _ in predicted)
    return [
        np.mean([mean_correlation(predicted[s, i], truth[s, i]) for i in range(N_PARTS)])
        for s in people
    ]


def tell_story():
    X, y = story()
    arms = [
        ("others pooled", others_pooled, True),
        ("own ridge", own_ridge, True),
        ("adapt (default)", adapted, True),
        ("others pooled, same segment seen (optimistic)", others_pooled, False),
    ]
    rows, scores = [], {}
    for name, predict, leave_out in arms:
        found = decode_story(X, y, predict, leave_out_segment=leave_out)
        scores[name] = np.array(by_person(*found))
        mean, low, high = subject_interval(scores[name], random_state=0)
        null = permutation_test(
            mean_correlation, *found, scheme="shift", n_permutations=199, random_state=0
        )
        highest = float(np.quantile(null.null, 0.95))
        rows.append([name, mean, f"{low:+.3f} to {high:+.3f}", highest, null.p_value])
    print("  story: mean correlation over 12 regressors; null: circular shifts within segments")
    table(["decoder", "r", "95 % interval", "95 % of null", "p"], rows)
    gain = subject_interval(scores["adapt (default)"] - scores["own ridge"], random_state=0)
    print(f"  adapt minus own ridge: {gain.mean:+.4f} ({gain.low:+.4f} to {gain.high:+.4f})")


def slices():
    """Voxels (standardized within runs), labels shifted by the response's lag, and runs."""
    recording = load_dataset("haxby_slices").recordings[0]
    runs = recording["segment"].values
    cleaned = clean(recording, detrend=True, confounds=True)["signal"].values.astype(float)
    labels = recording["label"].values.astype(str)
    X, y = np.empty_like(cleaned), labels.copy()
    for run in np.unique(runs):
        here = np.flatnonzero(runs == run)
        X[here] = standard(cleaned[here])
        y[here] = np.r_[["rest"] * LAG, labels[here][:-LAG]]
    shown = y != "rest"
    return X[shown], y[shown], runs[shown]


def relabeled(y, runs, rng):
    """Classes exchanged for one another within each run: blocks stay whole."""
    new = y.copy()
    for run in np.unique(runs):
        names = np.unique(y[runs == run])
        swap = dict(zip(names, rng.permutation(names), strict=True))
        new[runs == run] = [swap[name] for name in y[runs == run]]
    return new


def by_run(model, X, y, runs):
    """Share of right classes in each run left out."""
    found = cross_val_predict(model, X, y, groups=runs, cv=LeaveOneGroupOut())
    return np.array([np.mean((found == y)[runs == run]) for run in np.unique(runs)])


def tell_classes(n_null=20):
    X, y, runs = slices()
    rng = np.random.default_rng(0)
    models = [
        ("PrototypeClassifier", PrototypeClassifier()),
        (
            "logistic regression",
            make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=500)),
        ),
    ]
    rows = []
    for name, model in models:
        found = subject_interval(by_run(model, X, y, runs), random_state=0)
        rows.append([name, found.mean, f"{found.low:.3f}-{found.high:.3f}"])
    null = [
        by_run(PrototypeClassifier(), X, relabeled(y, runs, rng), runs).mean()
        for _ in range(n_null)
    ]
    print("  eight classes, one brain, one slice: accuracy on runs left out (interval over runs)")
    table(["model", "accuracy", "95 % interval"], rows)
    print(
        f"  null ({n_null} exchanges of classes within runs): {np.mean(null):.3f}, "
        f"highest {np.max(null):.3f}; chance 0.125"
    )


def main():
    warnings.simplefilter("ignore")
    tell_story()
    tell_classes()
