"""A network that fills in what is masked of graphs over time, in dense torch."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["MaskedGraphNetwork", "masked_loss"]


class MaskedGraphNetwork(nn.Module):
    """Encoder of weighted graphs to codes, and decoders of codes to graphs.

    Parameters
    ----------
    n_regions, n_components, hidden, n_layers : int
    """

    def __init__(self, n_regions: int, n_components: int, hidden: int, n_layers: int) -> None:
        super().__init__()
        self.rows = nn.Linear(n_regions, hidden)
        self.identity = nn.Parameter(0.1 * torch.randn(n_regions, hidden))
        self.token = nn.Parameter(torch.zeros(hidden))
        self.layers = nn.ModuleList(nn.Linear(hidden, hidden) for _ in range(n_layers))
        self.code = nn.Linear(n_regions * hidden, n_components)
        self.between = nn.Linear(2 * n_components, n_components)
        self.nodes = nn.Linear(n_components, n_regions * hidden)
        self.edges = nn.Linear(n_components, n_regions * (n_regions - 1) // 2)

    def encode(self, graphs: Tensor, hidden_nodes: Tensor | None = None) -> Tensor:
        """Codes (n, n_components) of graphs (n, R, R), some of whose nodes (n, R) may be masked."""
        n_regions = graphs.shape[1]
        if hidden_nodes is None:
            hidden_nodes = torch.zeros(graphs.shape[:2], dtype=torch.bool, device=graphs.device)
        # a masked node has no edges, neither its own row nor its place in the others'
        gone = hidden_nodes[:, :, None] | hidden_nodes[:, None, :]
        graphs = graphs.masked_fill(gone, 0.0)
        tokens = torch.where(hidden_nodes[..., None], self.token, self.rows(graphs))
        h = functional.gelu(tokens + self.identity)
        for layer in self.layers:
            h = h + functional.gelu(layer(torch.bmm(graphs, h) / n_regions**0.5))
        return self.code(h.flatten(1))

    def decode(self, codes: Tensor) -> Tensor:
        """Pairs i < j (n, R(R-1)/2) of codes: what is linear in a code, and products of nodes."""
        n_regions = self.identity.shape[0]
        i, j = torch.triu_indices(n_regions, n_regions, 1, device=codes.device)
        nodes = self.nodes(codes).unflatten(1, (n_regions, -1))
        products = torch.bmm(nodes, nodes.mT)[:, i, j] / nodes.shape[-1] ** 0.5
        return self.edges(codes) + products


def masked_loss(
    network: MaskedGraphNetwork,
    graphs: Tensor,
    triples: Tensor,
    hidden_nodes: Tensor,
    temporal_weight: float,
) -> Tensor:
    """Mean squared error of what was masked, in space and in time.

    Parameters
    ----------
    network : MaskedGraphNetwork
    graphs : Tensor of shape (n_windows, R, R)
    triples : Tensor of int of shape (n, 3)
        Windows before, at, and after a moment, of one session.
    hidden_nodes : Tensor of bool of shape (n, R)
    temporal_weight : float
    """
    before, at, after = triples.T
    n_regions = graphs.shape[1]
    i, j = torch.triu_indices(n_regions, n_regions, 1, device=graphs.device)
    truth = graphs[at][:, i, j]
    masked = hidden_nodes[:, i] | hidden_nodes[:, j]
    wrong = (network.decode(network.encode(graphs[at], hidden_nodes)) - truth) ** 2
    spatial = wrong[masked].mean()
    if not temporal_weight:
        return spatial
    # the window itself is masked as a whole: only its neighbors in time are encoded
    ends = torch.cat([network.encode(graphs[before]), network.encode(graphs[after])], dim=1)
    return spatial + temporal_weight * ((network.decode(network.between(ends)) - truth) ** 2).mean()
