"""The network: sizes as published, adapters that start as the identity."""

import torch

from neuroml.decoding import MindBridgeDecoder
from neuroml.decoding._mindbridge_network import Architecture, CrossSubjectNetwork


def count(module):
    return sum(p.numel() for p in module.parameters())


def small(n_inputs=(7, 9), **changes):
    shape = {"hidden": 4, "n_blocks": 2, "adapter_rank": 3, "dropout": 0.0, "block_dropout": 0.0}
    torch.manual_seed(0)
    architecture = Architecture(**(shape | {"linear_builder": True} | changes))
    return CrossSubjectNetwork(list(n_inputs), [False] * len(n_inputs), [5, 3], architecture)


def test_published_sizes():
    model = MindBridgeDecoder.published()
    names = ("hidden", "n_blocks", "adapter_rank", "dropout", "block_dropout", "linear_builder")
    shape = Architecture(**{name: getattr(model, name) for name in names})
    with torch.device("meta"):
        network = CrossSubjectNetwork([model.n_pool] * 4, [False] * 4, [197_376, 59_136], shape)
    millions = {
        "embedder": count(network.embedders[0]),
        "builder": count(network.builders[0]),
        "translator": count(network.translator),
        "image": count(network.heads[0]),
        "text": count(network.heads[1]),
        "all": count(network),
    }
    rounded = {name: round(n / 1e6, 2) for name, n in millions.items()}
    assert rounded == {
        "embedder": 18.89,
        "builder": 18.91,
        "translator": 16.80,
        "image": 404.42,
        "text": 121.17,
        "all": 693.58,
    }


def test_adapters_start_as_the_identity():
    network = small()
    x = torch.randn(6, 7)
    torch.testing.assert_close(network.embedders[0].layers[0](x), x, rtol=0, atol=0)
