"""
How dendrites recognize sparse patterns
=======================================

A dendritic segment with a few dozen synapses can recognize a pattern among thousands of cells. How
often is it wrong? Ahmad and Hawkins (2016, arXiv:1601.00720) worked it out; here are their figures
4 to 7, recomputed to the last digit, with the published points on top. Dots are published values
that agree, crosses are misprints.

A segment samples :math:`s` of the :math:`a` active cells out of :math:`n` and fires when at least
:math:`\\theta` of its synapses are active.
"""

# %%
# Published and exact
# -------------------
#
# :func:`neuroml.dendrites.published_values` lists the published numbers beside exact ones. Two of
# the simulated and computed points that the figures show are wrong, and a curve has the wrong name.

import numpy as np

from neuroml.dendrites import (
    false_match,
    false_negative,
    min_synapses,
    optimal_threshold,
    published_values,
    sweep,
    union_false_match,
    union_size_mean,
)
from neuroml.plotting import Comparison, plot_comparisons, plot_threshold_design

published = published_values()
misprints = published[(published.printed != "") & (published.note != "")]
print(misprints[["source", "item", "printed", "exact", "note"]].to_string(index=False))
assert len(misprints) == 17

overflow = misprints[misprints.item == "figure 4A, simulated"].iloc[0]
assert abs(overflow.recomputed - 0.999998) < 1e-6 and overflow.printed == "0.997368"


def dots(item, by, x, *, wrong=False):
    """Published points of a figure, by curve."""
    rows = published[published.item.str.startswith(item) & (published.printed != "")]
    rows = rows[(rows.note != "") == wrong]
    groups = rows.groupby(by)
    return {f"{by} = {k}": (g[x].astype(int), g.printed.astype(float)) for k, g in groups}


# %%
# Figures 4 and 5: more cells, more noise, more synapses
# ------------------------------------------------------
#
# False matches become rare very fast as the population grows at a fixed *number* of active cells
# (the paper's words "fixed sparsity level" are a slip); at a fixed *share* they do not. The dashed
# curve published as "50 % active" is that of 25 %.

n = np.arange(300, 4001, 20)
v = np.arange(0, 103)
synapses = np.arange(2, 31, 2)
cells = np.arange(300, 20_000, 200)
figure_4a = Comparison(
    "Figure 4A: simulated false matches",
    "cells n",
    "probability",
    {f"a = {a}": (n, false_match(12, n, 24, a)) for a in (64, 128, 256)},
    dots("figure 4A", "a", "n"),
    dots("figure 4A", "a", "n", wrong=True),
)
figure_4b = Comparison(
    "Figure 4B: misses",
    "swapped cells v of 128",
    "probability",
    {
        f"theta = {theta}": (v[30 - theta + 1 :], false_negative(theta, 30, 128, v[31 - theta :]))
        for theta in (8, 12, 16)
    },
    dots("figure 4B", "theta", "v"),
    dots("figure 4B", "theta", "v", wrong=True),
)
dashed = published[(published.item == "figure 5A, dashed") & (published.printed != "")]
figure_5a = Comparison(
    "Figure 5A: fixed number or fixed share",
    "cells n",
    "probability",
    {f"a = {a}": (cells, false_match(12, cells, 24, a)) for a in (64, 128, 256)}
    | {f"a = n / {k}": (cells, false_match(12, cells, 24, cells // k)) for k in (4, 2)},
    misprints={"a = n / 2": (dashed.n.astype(int), dashed.printed.astype(float))},
)
pairs = [(2000, 32), (4000, 32), (16_000, 512), (16_000, 4000)]
rows = published[published.item.eq("figure 5B") & published.printed.ne("")]
figure_5b = Comparison(
    "Figure 5B: threshold half the synapses",
    "synapses s",
    "probability",
    {f"n = {m}, a = {a}": (synapses, false_match(synapses // 2, m, synapses, a)) for m, a in pairs},
    {
        f"n = {m}, a = {a}": (g.s.astype(int), g.printed.astype(float))
        for (m, a), g in rows.groupby(["n", "a"])
    },
)
figures_4_and_5 = plot_comparisons([figure_4a, figure_4b, figure_5a, figure_5b])

worst = max(
    abs(np.log(row.recomputed / float(row.printed)))
    for row in published[published.item.isin(["figure 5B", "figure 4B"])].itertuples()
    if row.printed and not row.note
)
print(f"largest difference to the printed points of 4B and 5B: {worst:.1e} of the value")
assert worst < 1e-4

# %%
# Figures 6 and 7: the threshold, and several patterns on one segment
# -------------------------------------------------------------------
#
# Figure 6 shows medians over many populations. Those plotted come from 1,000 to 17,000 cells, not
# from the 10,000 to 200,000 of the text; and a threshold of 9 gives not quite 1e-9.

theta = np.arange(3, 25)


def medians(populations):
    grid = np.array(
        [
            (m, s, round(m * share / 1000))
            for m in populations
            for s in range(20, 51, 5)
            for share in range(5, 31, 5)
        ]
    )
    # A segment with fewer synapses than the threshold cannot match.
    return np.array(
        [
            np.median(np.where(grid[:, 1] >= t, false_match(np.minimum(t, grid[:, 1]), *grid.T), 0))
            for t in theta
        ]
    )


plotted, stated = medians(range(1000, 17_001, 4000)), medians(range(10_000, 200_001, 10_000))
figure_6 = Comparison(
    "Figure 6: median over populations",
    "threshold",
    "probability",
    {"plotted range": (theta, plotted), "stated range": (theta, stated)},
    {"plotted range": ([9], [1.35e-9])},
)
print(f"median at threshold 9: {plotted[6]:.3g} plotted, {stated[6]:.3g} stated, printed '<= 1e-9'")
assert plotted[6] > 1e-9 and stated[6] > 1e-9

M = np.arange(1, 13)
figure_7a = Comparison(
    "Figure 7A: size of a union, n = 1000",
    "patterns M",
    "synapses",
    {f"s = {s}": (M, union_size_mean(1000, s, M)) for s in (20, 25, 30)},
    dots("figure 7A", "s", "M"),
    log_y=False,
)
figure_7b = Comparison(
    "Figure 7B: false matches of a union",
    "patterns M",
    "probability",
    {
        f"n = {m}": (M, union_false_match(15, m, 25, 200, M, method="plugin"))
        for m in (1000, 10_000, 20_000)
    },
    dots("figure 7B", "n", "M"),
    dots("figure 7B", "n", "M", wrong=True),
)
figures_6_and_7 = plot_comparisons([figure_6, figure_7a, figure_7b])

# %%
# Which threshold for my recording?
# ---------------------------------
#
# Suppose 10,000 cells may connect to a segment, 200 are active at a time, and a pattern must be
# recognized when 40 of its cells are replaced by others. With 30 synapses, every threshold in the
# gray band confuses fewer than one in a billion random patterns and misses fewer than one in a
# thousand noisy copies.

limits = {"max_false_match": 1e-9, "max_false_negative": 1e-3}
design = plot_threshold_design(10_000, 30, 200, 40, **limits)
threshold = optimal_threshold(10_000, 30, 200, v=40, **limits)
fewest = min_synapses(10_000, 200, v=40, **limits)
print(f"threshold {threshold} with 30 synapses; {fewest} synapses would do")
assert threshold == 10 and fewest < 30

table = sweep(n=10_000, s=30, a=[100, 200, 400], theta=[8, 10, 12], v=40)
print(table[["a", "theta", "log10_false_match", "false_negative"]].round(4).to_string(index=False))
