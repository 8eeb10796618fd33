"""Cases of losses and dropout."""

from functools import partial
from typing import Any

import numpy as np
from case import Call, Case, add_cases, fill

CASES: dict[str, list[Case]] = {}
add = partial(add_cases, CASES)

# losses

_ANY_LABEL = (np.int64, np.int32, np.uint8, np.int8, np.uint64)


def _cross_entropy(
    rng: np.random.Generator,
    *,
    dtype: Any,
    shape: Any,
    reduction: str,
    backward: bool,
    weighted: bool,
    label_dtype: Any = np.int64,
    kind: str = "normal",
    **options: Any,
) -> Call:
    x = fill(rng, shape, dtype, kind) * dtype(2)
    target = rng.integers(0, shape[1], size=(shape[0], *shape[2:])).astype(label_dtype)
    ignore = options.get("ignore_index")
    if ignore is not None:
        target.flat[1::3] = ignore
    weight = np.abs(fill(rng, (shape[1],), dtype)) + dtype(0.1) if weighted else None
    options = {**options, "reduction": reduction, "weight": weight}
    if not backward:
        return (x, target), options
    grad = fill(rng, target.shape, dtype) if reduction == "none" else dtype(1.5)
    return (grad, x, target), options


for _name in ("cross_entropy", "cross_entropy_backward"):
    _backward = _name.endswith("backward")
    for _number, _shape in enumerate([(5, 10), (1, 1), (7, 33), (2, 4, 3, 5), (3, 17, 2), (64, 3)]):
        for _reduction in ("mean", "sum", "none"):
            add(
                _name,
                f"{_shape}-{_reduction}",
                _cross_entropy,
                shape=_shape,
                reduction=_reduction,
                backward=_backward,
                weighted=_number % 2 == 1,
                label_dtype=_ANY_LABEL[_number % 5],
            )
    for _reduction in ("mean", "sum", "none"):
        for _weighted in (False, True):
            add(
                _name,
                f"smoothing-{_reduction}-weighted {_weighted}",
                _cross_entropy,
                shape=(6, 5),
                reduction=_reduction,
                backward=_backward,
                weighted=_weighted,
                label_smoothing=0.1,
            )
            add(
                _name,
                f"ignore-{_reduction}-weighted {_weighted}",
                _cross_entropy,
                shape=(7, 5),
                reduction=_reduction,
                backward=_backward,
                weighted=_weighted,
                ignore_index=-100,
                label_smoothing=0.2,
            )
        add(
            _name,
            f"ignore a class-{_reduction}",
            _cross_entropy,
            shape=(7, 5),
            reduction=_reduction,
            backward=_backward,
            weighted=False,
            ignore_index=2,
        )
    add(
        _name,
        "large logits",
        _cross_entropy,
        shape=(6, 5),
        reduction="mean",
        backward=_backward,
        weighted=False,
        kind="offset",
    )
    for _reduction in ("sum", "none"):
        add(
            _name,
            f"empty batch-{_reduction}",
            _cross_entropy,
            shape=(0, 5),
            reduction=_reduction,
            backward=_backward,
            weighted=False,
        )


def _mse(rng: np.random.Generator, *, dtype: Any, shape: Any, reduction: str, backward: bool) -> Call:
    x, target = fill(rng, shape, dtype), fill(rng, shape, dtype)
    grad = fill(rng, shape, dtype) if reduction == "none" else dtype(1.5)
    return ((grad, x, target) if backward else (x, target)), {"reduction": reduction}


def _bce(rng: np.random.Generator, *, dtype: Any, shape: Any, reduction: str, backward: bool, weighted: Any) -> Call:
    x, target = fill(rng, shape, dtype) * dtype(4), rng.random(shape).astype(dtype)
    target[..., ::2] = np.round(target[..., ::2])
    grad = fill(rng, shape, dtype) if reduction == "none" else dtype(1.5)
    options: dict[str, Any] = {"reduction": reduction}
    if weighted:
        options["weight"] = np.abs(fill(rng, shape if weighted == "full" else shape[-1:], dtype))
        options["pos_weight"] = np.abs(fill(rng, shape[-1:], dtype)) + dtype(0.5)
    return ((grad, x, target) if backward else (x, target)), options


for _reduction in ("mean", "sum", "none"):
    for _shape in ((1,), (7,), (5, 33), (2, 3, 4, 17)):
        for _suffix in ("", "_backward"):
            add(
                f"mse_loss{_suffix}",
                f"{_shape}-{_reduction}",
                _mse,
                shape=_shape,
                reduction=_reduction,
                backward=bool(_suffix),
            )
            for _weighted in (False, "full", "last"):
                add(
                    f"binary_cross_entropy_with_logits{_suffix}",
                    f"{_shape}-{_reduction}-weights {_weighted}",
                    _bce,
                    shape=_shape,
                    reduction=_reduction,
                    backward=bool(_suffix),
                    weighted=_weighted,
                )

# dropout


def _dropout(
    rng: np.random.Generator, *, dtype: Any, shape: Any, p: float, training: Any, backward: bool, **more: Any
) -> Call:
    x, mask = fill(rng, shape, dtype), rng.random(shape) >= p
    if backward:
        return (x, mask, p), {}
    return (x, p), {"mask": mask, "training": training, **more}


for _p in (0.0, 0.25, 0.5, 1.0):
    for _shape in ((33,), (2, 3, 4, 17), (0, 3)):
        add("dropout", f"p {_p}-{_shape}", _dropout, shape=_shape, p=_p, training=True, backward=False)
        add("dropout_backward", f"p {_p}-{_shape}", _dropout, shape=_shape, p=_p, training=True, backward=True)
add("dropout", "mask", _dropout, shape=(4, 9), p=0.3, training=True, backward=False, return_mask=True)
add("dropout", "evaluation", _dropout, shape=(4, 9), p=0.3, training=False, backward=False)
