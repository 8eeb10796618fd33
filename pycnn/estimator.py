"""A classifier that scikit-learn's tools can use; scikit-learn itself is not needed."""

import importlib
import inspect
import math
import numbers
import sys
import warnings
from collections.abc import Callable
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from pycnn.nn import Module
from pycnn.train import EpochResult, TrainConfig, Trainer, predict_proba, progress

__all__ = ["CNNClassifier", "NotFittedError"]

Array = npt.NDArray[Any]
Model = str | Callable[..., Module]

_SEEDS = 2**31 - 1


class NotFittedError(ValueError, AttributeError):
    """An estimator was asked before ``fit``. Where scikit-learn is in use its class of this name is raised instead."""


class CNNClassifier:
    """A convolutional network with the methods and manners of a scikit-learn classifier.

    Works in ``Pipeline``, ``GridSearchCV``, ``cross_val_score``, ``clone`` and so on. The constructor only keeps its
    arguments; ``fit`` checks them.

    Parameters
    ----------
    model : str or callable
        Name of a bundled network (``pycnn.models.REGISTRY``), or a function that makes one, called with
        ``in_channels=, num_classes=, input_size=(H, W), rng=``.
    epochs, batch_size, lr, optimizer, schedule, augment, weight_decay, label_smoothing
        See `pycnn.train.TrainConfig`.
    image_shape : tuple of int, optional
        (H, W) or (C, H, W) of an image, for X that comes flat, one row an image.
    threads : int, optional
        Most threads to compute with; no influence on the result.
    random_state : int, numpy RandomState, Generator or None
        Where initial weights, order of the images, augmentation and dropout come from. Equal integers give equal
        networks, bit for bit; None gives another one at every fit.
    verbose : bool
        Print a line an epoch.

    Attributes
    ----------
    classes_ : ndarray, shape (K,)
        The labels, sorted.
    n_features_in_ : int
        Values of an image, C * H * W.
    image_shape_ : tuple of int
        (C, H, W).
    model_ : Module
        The trained network, in evaluation mode.
    history_ : list of EpochResult
        One an epoch.
    n_iter_ : int
        Epochs done.

    Notes
    -----
    X is an array of numbers, (n, H, W), (n, C, H, W) or, with `image_shape`, (n, C * H * W); integers and floats of any
    range do, as each channel is standardised with mean and deviation of the training images. y holds integers, strings
    or bools.

    scikit-learn's ``check_estimator`` feeds tables of a few columns, which are no images: all its checks that look at
    parameters, cloning, tags, pickling and refusals pass; those that fit such a table meet the ValueError that asks
    for `image_shape`.

    Examples
    --------
    >>> from pycnn.data import digits
    >>> from pycnn.estimator import CNNClassifier
    >>> d = digits()
    >>> net = CNNClassifier("lenet", epochs=2, lr=0.01, random_state=0).fit(d.x_train, d.y_train)
    >>> net.predict(d.x_test).shape, net.predict_proba(d.x_test).shape, net.score(d.x_test, d.y_test) > 0.8
    ((355,), (355, 10), True)
    """

    _estimator_type = "classifier"

    def __init__(
        self,
        model: Model = "lenet",
        *,
        epochs: int = 10,
        batch_size: int = 64,
        lr: float = 3e-3,
        optimizer: str = "adamw",
        schedule: str = "one-cycle",
        augment: str = "none",
        weight_decay: float = 0.0,
        label_smoothing: float = 0.0,
        image_shape: tuple[int, ...] | None = None,
        threads: int | None = None,
        random_state: Any = None,
        verbose: bool = False,
    ) -> None:
        self.model = model
        self.epochs = epochs
        self.batch_size = batch_size
        self.lr = lr
        self.optimizer = optimizer
        self.schedule = schedule
        self.augment = augment
        self.weight_decay = weight_decay
        self.label_smoothing = label_smoothing
        self.image_shape = image_shape
        self.threads = threads
        self.random_state = random_state
        self.verbose = verbose

    def fit(self, X: Any, y: Any) -> Self:
        """Train a new network.

        Parameters
        ----------
        X : array-like of numbers, shape (n, H, W), (n, C, H, W) or (n, C * H * W)
        y : array-like of labels, shape (n,)

        Returns
        -------
        self

        Raises
        ------
        ValueError, TypeError
            Parameters, X or y that do not do; less than two classes.
        FloatingPointError
            The loss became infinite or NaN.
        """
        images, features = self._images(X)
        classes, labels = _encode(y, len(images))
        config = TrainConfig(
            model=self.model if isinstance(self.model, str) else getattr(self.model, "__name__", "model"),
            epochs=self.epochs,
            batch_size=self.batch_size,
            lr=self.lr,
            optimizer=self.optimizer,
            schedule=self.schedule,
            augment=self.augment,
            weight_decay=self.weight_decay,
            label_smoothing=self.label_smoothing,
            seed=_seed(self.random_state),
            threads=self.threads,
        )
        trainer = Trainer(
            config,
            images,
            labels,
            num_classes=len(classes),
            model=None if isinstance(self.model, str) else self._make(images, len(classes), config.seed),
            callbacks=[progress("plain")] if self.verbose else [],
        )
        self.history_: list[EpochResult] = trainer.fit()
        self.model_ = trainer.model.eval()
        self.classes_ = classes
        self.image_shape_: tuple[int, ...] = images.shape[1:]
        self.n_features_in_ = features
        self.n_iter_ = trainer.epoch
        self._stats = trainer.mean, trainer.std
        return self

    def predict_proba(self, X: Any) -> Array:
        """Return the probability of each class, in the order of ``classes_``; float32 of shape (n, K).

        Raises
        ------
        NotFittedError
            Before ``fit``.
        ValueError, TypeError
            X that does not do, or images of another shape than those of ``fit``.
        """
        if not self.__sklearn_is_fitted__():
            raise _not_fitted(f"This {type(self).__name__} is not fitted yet: call fit with images and labels first")
        images, features = self._images(X)
        if features != self.n_features_in_ or images.shape[1:] != self.image_shape_:
            name = type(self).__name__
            raise ValueError(
                f"X has {features} features, but {name} is expecting {self.n_features_in_} features as input: "
                f"images of shape {self.image_shape_}, got {images.shape[1:]}"
            )
        return predict_proba(self.model_, images, *self._stats)

    def predict(self, X: Any) -> Array:
        """Return the likeliest label of each image, shape (n,)."""
        best = self.predict_proba(X).argmax(axis=1)
        labels: Array = self.classes_[best]
        return labels

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Return the (weighted) share of images whose label is predicted right."""
        right = self.predict(X) == np.asarray(y)
        return float(np.average(right, weights=sample_weight))

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the constructor's arguments by name."""
        return {name: getattr(self, name) for name in self._parameters()}

    def set_params(self, **params: Any) -> Self:
        """Set arguments of the constructor; ValueError, and no change, for an unknown name."""
        known = self._parameters()
        for name in params:
            if name not in known:
                raise ValueError(
                    f"Invalid parameter {name!r} for estimator {self}. Valid parameters are: {sorted(known)!r}"
                )
        for name, value in params.items():
            setattr(self, name, value)
        return self

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "model_")

    def __sklearn_tags__(self) -> Any:
        utils = importlib.import_module("sklearn.utils")

        return utils.Tags(
            estimator_type="classifier",
            target_tags=utils.TargetTags(required=True),
            classifier_tags=utils.ClassifierTags(),
            input_tags=utils.InputTags(two_d_array=True, three_d_array=True),
            non_deterministic=False,
        )

    def __repr__(self) -> str:
        defaults = self._parameters()
        changed = {
            name: value
            for name, value in self.get_params().items()
            if value is not defaults[name].default and repr(value) != repr(defaults[name].default)
        }
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in changed.items())})"

    @classmethod
    def _parameters(cls) -> dict[str, inspect.Parameter]:
        return dict(list(inspect.signature(cls.__init__).parameters.items())[1:])

    def _make(self, images: Array, num_classes: int, seed: int) -> Module:
        if not callable(self.model) or isinstance(self.model, Module):
            raise TypeError(f"CNNClassifier: model must be a name or a function, got {type(self.model).__name__}")
        _, channels, height, width = images.shape
        rng = np.random.default_rng(seed)
        model: Any = self.model(in_channels=channels, num_classes=num_classes, input_size=(height, width), rng=rng)
        if not isinstance(model, Module):
            raise TypeError(f"CNNClassifier: model must make a Module, got {type(model).__name__}")
        return model

    def _images(self, X: Any) -> tuple[Array, int]:
        """Return X as (n, C, H, W) of finite numbers, and the values of an image."""
        name = type(self).__name__
        if hasattr(X, "toarray"):
            raise TypeError(f"{name}: X must be dense, got a sparse {type(X).__name__}; use X.toarray()")
        x = np.asarray(X)
        if x.dtype == object:
            try:
                x = x.astype(np.float64)
            except (TypeError, ValueError) as error:
                raise type(error)(f"{name}: X must hold numbers: {error}") from None
        if x.dtype.kind == "c":
            raise ValueError(f"{name}: Complex data not supported, got X of {x.dtype}")
        if x.dtype.kind not in "biuf":
            raise ValueError(f"{name}: X must hold numbers, got {x.dtype}")
        if x.size == 0:
            what = "sample" if len(x) == 0 else "feature"
            raise ValueError(
                f"{name}: Found array with 0 {what}(s) (shape={x.shape}) while a minimum of 1 is required."
            )
        features = math.prod(x.shape[1:])
        x = self._shaped(x)
        if x.dtype.kind == "f" and not np.isfinite(x).all():
            raise ValueError(f"{name}: X must be finite, got NaN or infinity (Input X contains NaN or inf)")
        if x.dtype.kind == "b" or x.dtype == np.float16:
            x = x.astype(np.float32)
        return x, features

    def _shaped(self, x: Array) -> Array:
        return _as_images(type(self).__name__, x, self.image_shape)


def _as_images(name: str, x: Array, image_shape: Any) -> Array:
    if x.ndim == 3:
        return x[:, None]
    if x.ndim == 4:
        return x
    if x.ndim != 2:
        raise ValueError(
            f"{name}: X must have shape (n, H, W), (n, C, H, W) or (n, features), got {x.shape}. Reshape your data"
        )
    if image_shape is None:
        raise ValueError(f"{name}: X is flat, {x.shape}: say what an image is with image_shape=(H, W) or (C, H, W)")
    shape = tuple(image_shape)
    if len(shape) not in (2, 3) or not all(isinstance(n, numbers.Integral) and int(n) >= 1 for n in shape):
        raise ValueError(f"{name}: image_shape must be (H, W) or (C, H, W), got {image_shape!r}")
    shape = (1, *shape) if len(shape) == 2 else shape
    if math.prod(shape) != x.shape[1]:
        raise ValueError(f"{name}: X has {x.shape[1]} features, but image_shape {image_shape} has {math.prod(shape)}")
    return x.reshape(len(x), *shape)


def _encode(y: Any, count: int) -> tuple[Array, npt.NDArray[np.int64]]:
    """Return the sorted labels, and the number of each image's label among them."""
    if y is None:
        raise ValueError("CNNClassifier: requires y to be passed, but the target y is None")
    labels = np.asarray(y)
    if labels.ndim == 2 and labels.shape[1] == 1:
        exceptions = sys.modules.get("sklearn.exceptions")
        kind = UserWarning if exceptions is None else exceptions.DataConversionWarning
        warnings.warn("A column-vector y was passed when a 1d array was expected", kind, stacklevel=3)
        labels = labels[:, 0]
    if labels.shape != (count,):
        raise ValueError(f"CNNClassifier: y must have one label an image, shape ({count},), got {labels.shape}")
    if labels.dtype.kind == "f":
        if not np.isfinite(labels).all():
            raise ValueError("CNNClassifier: y must be finite, got NaN or infinity (Input y contains NaN)")
        if (labels != np.floor(labels)).any():
            raise ValueError("CNNClassifier: y must hold classes. Unknown label type: continuous")
    elif labels.dtype.kind not in "biuUSO":
        raise ValueError(f"CNNClassifier: y must hold integers, strings or bools. Unknown label type: {labels.dtype}")
    classes, numbered = np.unique(labels, return_inverse=True)
    if len(classes) < 2:
        raise ValueError(f"CNNClassifier: y must have at least two classes, got {len(classes)} class")
    return classes, numbered.astype(np.int64)


def _seed(random_state: Any) -> int:
    if random_state is None:
        return int(np.random.default_rng().integers(_SEEDS))
    if isinstance(random_state, np.random.RandomState):
        return int(random_state.randint(_SEEDS))
    if isinstance(random_state, np.random.Generator):
        return int(random_state.integers(_SEEDS))
    if isinstance(random_state, (bool, np.bool_)) or not isinstance(random_state, numbers.Integral):
        raise ValueError(
            f"CNNClassifier: random_state must be an integer, RandomState, Generator or None, got {random_state!r}"
        )
    if random_state < 0:
        raise ValueError(f"CNNClassifier: random_state must be >= 0, got {random_state}")
    return int(random_state)


def _not_fitted(message: str) -> Exception:
    exceptions = sys.modules.get("sklearn.exceptions")
    kind: type[Exception] = NotFittedError if exceptions is None else exceptions.NotFittedError
    return kind(message)
