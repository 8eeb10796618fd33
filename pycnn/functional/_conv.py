"""What convolution and transposed convolution share."""


def three(values: tuple[int, ...], fill: int) -> tuple[int, ...]:
    """Return hyperparameters of one to three spatial axes as those of three."""
    return (fill,) * (3 - len(values)) + values
