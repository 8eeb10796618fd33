"""Learning rates by step."""

import pytest

from pycnn import optim


def torch_rates(make, steps):
    torch = pytest.importorskip("torch", reason="parity with PyTorch needs torch")
    opt = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.4)
    schedule = make(torch.optim.lr_scheduler, opt)
    rates = []
    for _ in range(steps):
        rates.append(opt.param_groups[0]["lr"])
        opt.step()
        schedule.step()
    return rates


PAIRS = [
    (optim.StepLR(0.4, 3, 0.5), lambda s, o: s.StepLR(o, 3, 0.5)),
    (optim.CosineLR(0.4, 20), lambda s, o: s.CosineAnnealingLR(o, 20)),
    (optim.CosineLR(0.4, 20, final_lr=0.1), lambda s, o: s.CosineAnnealingLR(o, 20, eta_min=0.1)),
    (optim.OneCycleLR(0.4, 20), lambda s, o: s.OneCycleLR(o, 0.4, 20, cycle_momentum=False)),
    (
        optim.OneCycleLR(0.4, 20, 0.55, 10, 50),
        lambda s, o: s.OneCycleLR(o, 0.4, 20, pct_start=0.55, div_factor=10, final_div_factor=50, cycle_momentum=False),
    ),
    (optim.ConstantLR(0.4), lambda s, o: s.LambdaLR(o, lambda _: 1.0)),
]


@pytest.mark.parametrize(("schedule", "make"), PAIRS)
def test_rates_are_torchs(schedule, make):
    # PyTorch's cosine is a recursion, which rounds differently at the end where it is nearly 0.
    assert [schedule(step) for step in range(19)] == pytest.approx(torch_rates(make, 19), rel=1e-9, abs=1e-12)


def test_warm_up_rises_in_a_line():
    schedule = optim.CosineLR(1.0, 10, warmup_steps=4, final_lr=0.2)
    assert [schedule(step) for step in range(5)] == [0.25, 0.5, 0.75, 1.0, 1.0]
    assert schedule(10) == schedule(1000) == pytest.approx(0.2)


def test_steps_behind_the_end_get_the_last_rate():
    schedule = optim.OneCycleLR(1.0, 10)
    assert schedule(9) == schedule(10**6) == pytest.approx(1 / 25 / 1e4)
    assert optim.OneCycleLR(1.0, 10, pct_start=0.0)(0) < 1.0
    assert optim.OneCycleLR(1.0, 10, pct_start=0.1)(0) == 1.0
    assert optim.OneCycleLR(1.0, 10, pct_start=1.0)(9) == 1.0


@pytest.mark.parametrize("schedule", [pair[0] for pair in PAIRS])
def test_state_comes_back(schedule):
    state = schedule.state_dict()
    twin = type(schedule)(**{**{k: v for k, v in state.items() if k != "schedule"}, "lr": 9.0})
    assert twin != schedule
    twin.load_state_dict(state)
    assert twin == schedule
    assert twin(7) == schedule(7)


def test_a_wrong_state_changes_nothing():
    schedule = optim.StepLR(0.4, 3)
    good = schedule.state_dict()
    bad = [
        {},
        [],
        {**good, "schedule": "CosineLR"},
        {**good, "more": 1},
        {**good, "step_size": 0},
        {**good, "lr": -1},
    ]
    for state in bad:
        with pytest.raises(ValueError, match="StepLR"):
            schedule.load_state_dict(state)
        assert schedule.state_dict() == good


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: optim.ConstantLR(-1), ValueError, "ConstantLR: lr must be >= 0"),
        (lambda: optim.ConstantLR(float("nan")), ValueError, "ConstantLR: lr must be finite"),
        (lambda: optim.StepLR(1, 0), ValueError, "StepLR: step_size must be >= 1, got 0"),
        (lambda: optim.StepLR(1, 2.5), TypeError, "StepLR: step_size must be an integer"),
        (lambda: optim.StepLR(1, 2, -1), ValueError, "StepLR: gamma must be >= 0"),
        (lambda: optim.CosineLR(1, 0), ValueError, "CosineLR: total_steps must be >= 1"),
        (
            lambda: optim.CosineLR(1, 5, 5),
            ValueError,
            "CosineLR: warmup_steps must be < total_steps=5, got 5",
        ),
        (lambda: optim.OneCycleLR(1, 1), ValueError, "OneCycleLR: total_steps must be >= 2"),
        (lambda: optim.OneCycleLR(1, 5, 1.5), ValueError, r"OneCycleLR: pct_start must be in \[0, 1\]"),
        (lambda: optim.OneCycleLR(1, 5, div_factor=0), ValueError, "OneCycleLR: div_factor must be > 0"),
        (
            lambda: optim.make_schedule("linear", lr=1),
            ValueError,
            "name must be one of 'constant', 'step', 'cosine'",
        ),
        (lambda: optim.ConstantLR(1)(-1), ValueError, "ConstantLR: step must be >= 0, got -1"),
        (lambda: optim.ConstantLR(1)(0.5), TypeError, "ConstantLR: step must be an integer"),
        (lambda: optim.Schedule(1.0)(0), NotImplementedError, None),
    ],
)
def test_bad_arguments_are_refused(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_names_give_the_classes():
    assert optim.make_schedule("one-cycle", lr=1.0, total_steps=5) == optim.OneCycleLR(1.0, 5)
    assert set(optim.SCHEDULES) == {"constant", "step", "cosine", "one-cycle"}
