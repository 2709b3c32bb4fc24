import pytest

from neuroml._core.training import train
from neuroml.exceptions import NotConvergedWarning

torch = pytest.importorskip("torch")


@pytest.fixture
def problem():
    """A line to fit: module, batches, loss, and the least-squares solution."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(64, 2, generator=generator, dtype=torch.float64)
    y = x @ torch.tensor([[1.0], [-2.0]], dtype=torch.float64) + 0.5
    module = torch.nn.Linear(2, 1, dtype=torch.float64)
    torch.nn.init.zeros_(module.weight)
    torch.nn.init.zeros_(module.bias)

    def batches(epoch):
        for rows in torch.arange(64).split(16):
            yield x[rows], y[rows]

    def loss(batch):
        return ((module(batch[0]) - batch[1]) ** 2).mean()

    return module, loss, batches, (x, y)


def test_finds_the_solution_and_ends_in_eval_mode(problem):
    module, loss, batches, _ = problem
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1)
    seen = []
    result = train(module, loss, batches, optimizer, max_epochs=60, callback=seen.append)
    torch.testing.assert_close(
        module.weight.detach(), torch.tensor([[1.0, -2.0]], dtype=torch.float64)
    )
    assert not module.training and result.converged and result.best_epoch == 59
    assert seen == result.history and result.history[-1]["loss"] < 1e-12


def test_best_weights_are_restored(problem):
    module, loss, batches, _ = problem
    values = iter([3.0, 1.0, 2.0, 2.0, 2.0])
    weights = []

    def validate():
        weights.append(module.weight.detach().clone())
        return next(values)

    optimizer = torch.optim.SGD(module.parameters(), lr=0.1)
    result = train(module, loss, batches, optimizer, max_epochs=9, validate=validate, patience=3)
    assert (result.best_epoch, result.stop_reason, result.converged) == (1, "patience", True)
    assert len(result.history) == 5
    torch.testing.assert_close(module.weight.detach(), weights[1])


def test_still_improving_at_the_end_is_told(problem):
    module, loss, batches, (x, y) = problem
    optimizer = torch.optim.SGD(module.parameters(), lr=1e-4)
    with pytest.warns(NotConvergedWarning, match="max_epochs=3"):
        result = train(
            module, loss, batches, optimizer, max_epochs=3, validate=lambda: loss((x, y)).item()
        )
    assert not result.converged


def test_divergence_is_an_error_that_says_where(problem):
    module, loss, batches, _ = problem
    optimizer = torch.optim.SGD(module.parameters(), lr=1e200)
    with pytest.raises(FloatingPointError, match=r"epoch 0, batch [12]"):
        train(module, loss, batches, optimizer, max_epochs=2)


def test_validation_that_is_not_finite_is_an_error(problem):
    module, loss, batches, _ = problem
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1)
    with pytest.raises(FloatingPointError, match="validation of epoch 0"):
        train(module, loss, batches, optimizer, max_epochs=2, validate=lambda: float("nan"))


def test_scheduler_steps_every_batch(problem):
    module, loss, batches, _ = problem
    optimizer = torch.optim.SGD(module.parameters(), lr=1.0)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 0.0)
    optimizer.step()
    train(module, loss, batches, optimizer, max_epochs=2, scheduler=scheduler)
    assert scheduler.last_epoch == 8
