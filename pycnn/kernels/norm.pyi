from collections.abc import Callable, Mapping

# One function for each number type: "float", "double".
moments: Mapping[str, Callable[..., None]]
normalise: Mapping[str, Callable[..., None]]
input_gradient: Mapping[str, Callable[..., None]]
response_norm: Mapping[str, Callable[..., None]]
