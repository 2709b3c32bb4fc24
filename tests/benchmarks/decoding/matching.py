"""Time-segment matching of left-out subjects on real data (36 people hear the same story).

Six folds over subjects and two halves of the story: models are fitted to the other 30 subjects on
one half, the left-out subject is added on the same half, and its segments of 10 samples (15 s) of
the other half are matched with the mean of the 30. Choices (components, prior) are made inside the
training half of each fold.
"""

import warnings

import numpy as np
from measure import have, measure, table

from neuroml._core.statistics import first_within_one_standard_error
from neuroml.data import load_dataset
from neuroml.decoding import ProcrustesAligner, SharedResponseModel
from neuroml.decoding.metrics import subject_interval, time_segment_matching

WINDOW = 10
COMPONENTS = (10, 20, 30, 50)
PRIORS = (0.0, 30.0, 100.0, 300.0, 1000.0)


def scaled(X, reference):
    return (X - reference.mean(axis=0)) / reference.std(axis=0)


def neuroml_srm(train, new, k):
    model = SharedResponseModel(k, random_state=0).fit(train)
    for s, part in new.items():
        model.add_subject(part, subject=s)
    return lambda s, X: model.transform(X, subject=s)


def neuroml_procrustes(train, new, prior):
    model = ProcrustesAligner(prior=prior).fit(train)
    for s, part in new.items():
        model.add_subject(part, subject=s)
    return lambda s, X: model.transform(X, subject=s)


def brainiak_srm(train, new, k):
    from brainiak.funcalign.srm import SRM

    known = train | new
    Z = {s: scaled(part, part) for s, part in known.items()}
    model = SRM(n_iter=20, features=k, rand_seed=0)
    model.fit([Z[s].T for s in train])
    bases = dict(zip(train, model.w_, strict=True))
    bases |= {s: model.transform_subject(Z[s].T) for s in new}
    return lambda s, X: scaled(X, known[s]) @ bases[s]


def fastsrm(train, new, k):
    from fastsrm.identifiable_srm import IdentifiableFastSRM

    known = train | new
    Z = {s: scaled(part, part) for s, part in known.items()}
    model = IdentifiableFastSRM(n_components=k, n_iter=50, tol=1e-6, n_jobs=1, aggregate="mean")
    shared = model.fit_transform([Z[s].T for s in train])
    model.add_subjects([Z[s].T for s in new], shared)
    bases = dict(zip(known, model.basis_list, strict=True))
    return lambda s, X: scaled(X, known[s]) @ bases[s]


def fmralign_procrustes(train, new, _):
    from fmralign import GroupAlignment, PairwiseAlignment

    known = train | new
    Z = {s: scaled(part, part) for s, part in known.items()}
    group = GroupAlignment(method="procrustes", n_iter=5)
    group.fit({s: Z[s] for s in train}, y="template")
    maps = {s: PairwiseAlignment(method="procrustes").fit(Z[s], group.template) for s in known}
    return lambda s, X: maps[s].transform(scaled(X, known[s]))


def unaligned(train, new, _):
    known = train | new
    return lambda s, X: scaled(X, known[s])


def accuracy(fit, setting, train, new, train_test, new_test):
    """Matching of every new subject's unseen half with the mean of the training subjects."""
    project = fit(train, new, setting)
    mean = np.mean([project(s, part) for s, part in train_test.items()], axis=0)
    return [
        time_segment_matching([project(s, part), mean], WINDOW).accuracy[0]
        for s, part in new_test.items()
    ]


def chosen(fit, settings, train):
    """The simplest setting that matches as well as the best: halves of time, thirds of people."""
    if len(settings) == 1:
        return settings[0]
    names, middle = list(train), len(next(iter(train.values()))) // 2
    inner = {s for i, s in enumerate(names) if i % 3}
    parts = [
        {s: train[s][when] for s in names if (s in inner) == known}
        for when in (slice(None, middle), slice(middle, None))
        for known in (True, False)
    ]
    scores = [
        accuracy(fit, setting, parts[0], parts[1], parts[2], parts[3])
        for setting in settings
        if not (isinstance(setting, int) and setting > middle)
    ]
    # the first setting whose shortfall, paired over people, is within one standard error
    return settings[first_within_one_standard_error(scores)]


def left_out(fit, settings, data):
    """Mean over both halves of the accuracy of every subject, and the settings chosen."""
    names = list(data)
    halves = [
        {s: part[:150] for s, part in data.items()},
        {s: part[150:] for s, part in data.items()},
    ]
    found, picks = {s: [] for s in names}, []
    for fold in range(6):
        out = names[fold::6]
        for here, there in (halves, halves[::-1]):
            train = {s: here[s] for s in names if s not in out}
            setting = chosen(fit, settings, train)
            picks.append(setting)
            scores = accuracy(
                fit,
                setting,
                train,
                {s: here[s] for s in out},
                {s: there[s] for s in train},
                {s: there[s] for s in out},
            )
            for s, value in zip(out, scores, strict=True):
                found[s].append(value)
    return [float(np.mean(found[s])) for s in names], sorted(set(picks))


def main():
    warnings.simplefilter("ignore")
    recordings = load_dataset("pieman_htfa").recordings
    data = {r.attrs["subject"]: r["signal"].values.astype(float) for r in recordings}
    contestants = [
        ("no alignment", unaligned, (0,)),
        ("neuroml SRM", neuroml_srm, COMPONENTS),
        ("neuroml Procrustes, no prior", neuroml_procrustes, (0.0,)),
        ("neuroml Procrustes, prior chosen", neuroml_procrustes, PRIORS),
    ]
    if have("brainiak.funcalign.srm"):
        contestants.append(("BrainIAK SRM", brainiak_srm, COMPONENTS))
    if have("fastsrm.identifiable_srm"):
        contestants.append(("fastsrm", fastsrm, COMPONENTS))
    if have("fmralign"):
        contestants.append(("fmralign Procrustes", fmralign_procrustes, (0,)))
    rows, scores = [], {}
    for name, fit, settings in contestants:
        (values, picks), cpu, wall, memory = measure(left_out, fit, settings, data, repeats=1)
        scores[name] = np.array(values)
        mean, low, high = subject_interval(values, random_state=0)
        rows.append([name, mean, f"{low:.3f}-{high:.3f}", str(picks), cpu, wall, memory])
    table(["method", "accuracy", "95 % interval", "settings", "CPU s", "wall s", "MB"], rows)
    print(f"  chance {1 / 122:.4f} (about 122 candidates)")
    ours = scores["neuroml Procrustes, prior chosen"]
    for name, values in scores.items():
        mean, low, high = (
            subject_interval(ours - values, random_state=0) if name != rows[3][0] else (0, 0, 0)
        )
        print(f"  Procrustes with prior minus {name}: {mean:+.3f} ({low:+.3f} to {high:+.3f})")
