"""Image files: a folder of one sub-folder a class, and single images for predictions. Needs Pillow."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from pycnn.data._dataset import MAX_CLASSES, Dataset, split
from pycnn.io._files import describing, open_regular, path_name

if TYPE_CHECKING:
    from PIL.Image import Image

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm", ".pbm", ".pnm")
# Only these decoders: some others of Pillow start other programs (EPS runs Ghostscript).
_FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF", "PPM")
_TEST_NAMES = ("test", "val", "valid", "validation")
_MAX_PIXELS = 1 << 26

Size = tuple[int, int]
_Entry = tuple[Path, int]


def read_image(path: str | os.PathLike[str], channels: int, size: Size | None = None) -> npt.NDArray[np.uint8]:
    """Read one image as a network wants it.

    Parameters
    ----------
    path : str or path-like
        A PNG, JPEG, BMP, GIF (first frame), WebP, TIFF or PNM file.
    channels : int
        1 (grey) or 3 (RGB); the image is converted. Transparency is dropped, 16-bit grey keeps its upper
        8 bits, a photo is turned upright by its EXIF note.
    size : (H, W), optional
        Resize to that height and width (bilinear, over all pixels covered; proportions are not kept).

    Returns
    -------
    ndarray of uint8, shape (channels, H, W)

    Raises
    ------
    ValueError
        Not an image of these formats, damaged, or of more than 67 million pixels; bad channels or size.
    ImportError
        Pillow is not installed.
    OSError
        The path is missing, a directory, a pipe, or not readable.

    Examples
    --------
    >>> with open("grey.pgm", "wb") as file:
    ...     _ = file.write(b"P5 2 1 255 " + bytes([0, 200]))
    >>> read_image("grey.pgm", 1)
    array([[[  0, 200]]], dtype=uint8)
    """
    name = path_name("read_image", path)
    check_channels("read_image", channels)
    check_size("read_image: size", size)
    with describing("read_image", name):
        pixels: npt.NDArray[np.uint8] = _decode(Path(name), lambda image: _pixels(image, channels, size))
        return pixels


def check_channels(function: str, channels: object) -> None:
    """Raise unless `channels` is 1 or 3."""
    if channels not in (1, 3) or isinstance(channels, (bool, float)):
        raise ValueError(f"{function}: channels must be 1 or 3, got {channels!r}")


def check_size(what: str, size: Any) -> None:
    """Raise unless `size` is None or (H, W)."""
    if size is None:
        return
    ok = isinstance(size, (tuple, list)) and len(size) == 2
    if not ok or not all(isinstance(n, (int, np.integer)) and not isinstance(n, bool) for n in size):
        raise TypeError(f"{what} must be two integers (H, W), got {size!r}")
    height, width = size
    if height < 1 or width < 1 or height * width > _MAX_PIXELS:
        raise ValueError(f"{what} must be 1x1 to {_MAX_PIXELS} pixels, got {size!r}")


def find(folder: Path, size: Size | None, channels: int | None) -> Callable[[], Dataset] | None:
    """Give a loader, if any sub-folder (or sub-folder of train) holds images; else None."""
    parts = _parts(folder)
    for part in parts:
        if any(_files(below) for below in _folders(part)):
            return lambda: _load(folder, parts, size, channels)
    return None


def _parts(folder: Path) -> list[Path]:
    """``[train, test]`` where there are such sub-folders, with sub-folders of their own; else the folder."""
    train = folder / "train"
    tests = [folder / name for name in _TEST_NAMES if (folder / name).is_dir()]
    if train.is_dir() and tests and _folders(train):
        return [train, tests[0]]
    return [folder]


def _folders(folder: Path) -> list[Path]:
    return sorted(entry for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith("."))


def _files(folder: Path) -> list[Path]:
    return sorted(
        entry
        for entry in folder.iterdir()
        if entry.suffix.lower() in SUFFIXES and not entry.name.startswith(".") and not entry.is_dir()
    )


def _load(folder: Path, parts: list[Path], size: Size | None, channels: int | None) -> Dataset:
    classes = tuple(below.name for below in _folders(parts[0]))
    if len(classes) > MAX_CLASSES:
        raise ValueError(f"load: {folder}: at most {MAX_CLASSES} classes, got {len(classes)}")
    entries = [_entries(part, classes) for part in parts]
    together = [entry for part in entries for entry in part]
    grey, common = _survey([path for path, _ in together], size)
    channels = channels or (1 if grey else 3)
    x = np.empty((len(together), channels, *common), np.uint8)
    for row, (path, _) in zip(x, together, strict=True):
        with describing("load", str(path)):
            row[...] = _decode(path, lambda image: _pixels(image, channels, common))
    y = np.array([label for _, label in together], np.int64)
    name = folder.resolve().name
    with describing("load", str(folder)):
        if len(parts) == 1:
            return split(x, y, classes, name)
        count = len(entries[0])
        return Dataset(x[:count], y[:count], x[count:], y[count:], classes, name)


def _entries(part: Path, classes: tuple[str, ...]) -> list[_Entry]:
    """All images of a part with their labels, by class and name."""
    entries: list[_Entry] = []
    for below in _folders(part):
        if below.name not in classes:
            raise ValueError(f"load: {below}: the training part has no such class")
        files = _files(below)
        if not files:
            raise ValueError(f"load: {below}: holds no image ({', '.join(SUFFIXES)})")
        entries += [(path, classes.index(below.name)) for path in files]
    if not entries:
        raise ValueError(f"load: {part}: holds no sub-folder with images")
    return entries


def _survey(paths: list[Path], size: Size | None) -> tuple[bool, Size]:
    """Whether all images are grey, and their common size; reads only their headers."""
    grey, common = True, size
    for path in paths:
        with describing("load", str(path)):
            is_grey, own = _decode(path, lambda image: (_is_grey(image), _upright_size(image)))
            grey = grey and is_grey
            common = common or own
            if size is None and own != common:
                raise ValueError(
                    f"is {own[0]}x{own[1]} (HxW), the first image {common[0]}x{common[1]}: "
                    "give image_size to resize all"
                )
    assert common is not None
    return grey, common


def _decode(path: Path, use: Callable[["Image"], Any]) -> Any:
    """`use` of the opened image, with every complaint of Pillow turned into a ValueError."""
    try:
        from PIL import Image
    except ImportError as error:
        raise ImportError('images need the package Pillow: pip install "pycnn[images]"') from error
    Image.init()
    with open_regular(str(path)) as file:
        try:
            image = Image.open(file, formats=[name for name in _FORMATS if name in Image.OPEN])
            if image.width * image.height > _MAX_PIXELS:
                raise ValueError(f"{image.width}x{image.height} pixels, at most {_MAX_PIXELS}")
            return use(image)
        except MemoryError:
            raise
        except Exception as error:  # decoders raise whatever the damage leads to
            text = str(error).replace(repr(file), repr(path.name))
            raise ValueError(f"not a whole image: {text}") from error


def _is_grey(image: "Image") -> bool:
    return image.mode in ("1", "L", "LA", "La", "F") or image.mode.startswith("I")


def _upright_size(image: "Image") -> Size:
    turned = image.getexif().get(0x0112, 1) in (5, 6, 7, 8)
    return (image.width, image.height) if turned else (image.height, image.width)


def _pixels(image: "Image", channels: int, size: Size | None) -> npt.NDArray[np.uint8]:
    from PIL import Image, ImageOps

    if image.mode == "F":
        raise ValueError("must have integer pixels, got floating point")
    upright: Image.Image = ImageOps.exif_transpose(image) or image
    if upright.mode.startswith("I"):
        deep = np.asarray(upright)
        if deep.min() < 0 or deep.max() > 0xFFFF:
            raise ValueError(f"grey values must be at most 16 bits, got {deep.min()} to {deep.max()}")
        upright = Image.fromarray((deep >> 8).astype(np.uint8))
    upright = upright.convert("L" if channels == 1 else "RGB")
    if size is not None and upright.size != (size[1], size[0]):
        upright = upright.resize((size[1], size[0]), Image.Resampling.BILINEAR)
    pixels = np.asarray(upright)
    return np.ascontiguousarray(pixels[None] if channels == 1 else pixels.transpose(2, 0, 1))
