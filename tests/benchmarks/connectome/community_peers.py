"""Communities of many graphs by a peer: ``python community_peers.py PEER GRAPHS.npz``.

Run in the Python that has it; prints as JSON the labels of every graph and the CPU seconds.
"""

import json
import sys
import time
from pathlib import Path

import numpy as np


def leiden(W):
    import igraph
    import leidenalg

    i, j = np.nonzero(np.triu(W, 1))
    graph = igraph.Graph(n=len(W), edges=list(zip(i.tolist(), j.tolist(), strict=True)))
    found = leidenalg.find_partition(
        graph, leidenalg.ModularityVertexPartition, weights=W[i, j].tolist(), seed=0
    )
    return found.membership


def graph_tool(W):
    import graph_tool.all as gt

    i, j = np.nonzero(np.triu(W, 1))
    graph = gt.Graph(directed=False)
    graph.add_vertex(len(W))
    weight = graph.new_edge_property("double")
    for a, b in zip(i, j, strict=True):
        weight[graph.add_edge(a, b)] = W[a, b]
    states = [
        gt.minimize_nested_blockmodel_dl(
            graph,
            state_args={"recs": [weight], "rec_types": ["real-exponential"], "deg_corr": corrected},
        )
        for corrected in (True, False)
    ]
    best = min(states, key=lambda state: state.entropy())
    return [int(b) for b in best.get_levels()[0].get_blocks().a]


if __name__ == "__main__":
    sys.path.append(str(Path(__file__).parents[1]))
    from arguments import arguments

    name, path = arguments(__doc__, "PEER", "GRAPHS")
    peer = {"leiden": leiden, "graph-tool": graph_tool}[name]
    graphs = np.load(path)["graphs"]
    labels, seconds = [], []
    for W in graphs:
        start = time.process_time()
        labels.append(peer(W))
        seconds.append(time.process_time() - start)
    print(json.dumps({"labels": labels, "seconds": seconds}))
