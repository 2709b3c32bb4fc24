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
    """Levels of the nested block model, the better of two corrections for degrees."""
    return _levels(*np.nonzero(np.triu(W, 1)), W)


def notebook(W):
    """As in the notebook of Dyballa et al. (2024): every edge twice, once for each direction."""
    return _levels(*np.nonzero(W), W)


def _levels(i, j, W):
    """Labels of the nodes at every level, the lowest first."""
    import graph_tool.all as gt

    graph = gt.Graph(directed=False)
    graph.add_vertex(len(W))
    weight = graph.new_edge_property("double")
    graph.add_edge_list(zip(i, j, W[i, j], strict=True), eprops=[weight])
    arguments = {"recs": [weight], "rec_types": ["real-exponential"]}
    states = [
        gt.minimize_nested_blockmodel_dl(graph, state_args={**arguments, "deg_corr": corrected})
        for corrected in (True, False)
    ]
    labels = []
    for level in min(states, key=lambda state: state.entropy()).get_levels():
        blocks = level.get_blocks().a
        labels.append(blocks[labels[-1]] if labels else blocks)
    return [level.tolist() for level in labels]


if __name__ == "__main__":
    sys.path.append(str(Path(__file__).parents[1]))
    from arguments import arguments

    name, path = arguments(__doc__, "PEER", "GRAPHS")
    peer = {"leiden": leiden, "graph-tool": graph_tool, "notebook": notebook}[name]
    graphs = np.load(path)["graphs"]
    labels, seconds = [], []
    for W in graphs:
        start = time.process_time()
        labels.append(peer(W))
        seconds.append(time.process_time() - start)
    print(json.dumps({"labels": labels, "seconds": seconds}))
