"""Folders of images, and single images."""

import io
import os
import random
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pycnn import data

Image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")
RNG = np.random.default_rng(0)


def picture(h: int = 5, w: int = 4, mode: str = "RGB") -> Any:
    shape = (h, w) if mode == "L" else (h, w, len(mode))
    return Image.fromarray(RNG.integers(0, 256, shape, dtype=np.uint8))


def tree(folder: Path, classes: tuple[str, ...] = ("cat", "dog"), count: int = 6, **options: Any) -> Path:
    for name in classes:
        (folder / name).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            picture(**options).save(folder / name / f"{number:02}.png")
    return folder


def pixels(path: Path) -> Any:
    x = np.asarray(Image.open(path))
    return x[None] if x.ndim == 2 else x.transpose(2, 0, 1)


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_folder_without_parts(mode: str, tmp_path: Path) -> None:
    tree(tmp_path / "pets", mode=mode)
    (tmp_path / "pets" / "readme.txt").write_text("not a class")
    (tmp_path / "pets" / "cat" / "notes.txt").write_text("not an image")
    (tmp_path / "pets" / "cat" / ".hidden.png").write_text("not an image")
    (tmp_path / "pets" / ".cache").mkdir()
    found = data.load(tmp_path / "pets")
    assert found.classes == ("cat", "dog") and found.name == "pets"
    assert found.input_shape == (1 if mode == "L" else 3, 5, 4) and found.x_train.dtype == np.uint8
    assert found.y_train.tolist() == [0] * 5 + [1] * 5 and found.y_test.tolist() == [0, 1]
    np.testing.assert_array_equal(found.x_test[0], pixels(tmp_path / "pets" / "cat" / "04.png"))
    np.testing.assert_array_equal(found.x_train[-1], pixels(tmp_path / "pets" / "dog" / "05.png"))


@pytest.mark.parametrize("test", ["test", "val", "valid", "validation"])
def test_folder_with_parts(test: str, tmp_path: Path) -> None:
    tree(tmp_path / "train", ("a", "b", "c"), 3)
    tree(tmp_path / test, ("a", "c"), 2)
    found = data.load(tmp_path)
    assert found.classes == ("a", "b", "c")
    assert found.y_train.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2] and found.y_test.tolist() == [0, 0, 2, 2]
    tree(tmp_path / test, ("d",), 2)
    with pytest.raises(ValueError, match=r"load: .*d: the training part has no such class"):
        data.load(tmp_path)


def test_classes_may_be_called_train_and_test(tmp_path: Path) -> None:
    assert data.load(tree(tmp_path, ("train", "test"))).classes == ("test", "train")


def test_sizes_and_channels(tmp_path: Path) -> None:
    tree(tmp_path)
    picture(7, 9, "L").save(tmp_path / "dog" / "zz.png")
    with pytest.raises(ValueError, match=r"zz\.png: is 7x9 \(HxW\), the first image 5x4: give image_size"):
        data.load(tmp_path)
    assert data.load(tmp_path, image_size=6).input_shape == (3, 6, 6)
    assert data.load(tmp_path, image_size=(3, 2), channels=1).input_shape == (1, 3, 2)
    for size, error in (
        ((0, 1), ValueError),
        ((1, 2, 3), TypeError),
        ("8", TypeError),
        ((2.0, 2), TypeError),
    ):
        with pytest.raises(error, match="load: image_size must be"):
            data.load(tmp_path, image_size=size)  # type: ignore[arg-type]
    for channels in (0, 2, 4, True, 3.0, "3"):
        with pytest.raises(ValueError, match="load: channels must be 1 or 3"):
            data.load(tmp_path, channels=channels)  # type: ignore[arg-type]


def test_folders_without_enough_images(tmp_path: Path) -> None:
    tree(tmp_path / "one", count=1)
    with pytest.raises(ValueError, match="no class has two images"):
        data.load(tmp_path / "one")
    tree(tmp_path / "two", count=2)
    (tmp_path / "two" / "eel").mkdir()
    with pytest.raises(ValueError, match="eel: holds no image"):
        data.load(tmp_path / "two")
    tree(tmp_path / "parts" / "train")
    (tmp_path / "parts" / "test").mkdir()
    with pytest.raises(ValueError, match="test: holds no sub-folder with images"):
        data.load(tmp_path / "parts")


def test_read_image_formats(tmp_path: Path) -> None:
    image = picture(6, 5)
    x = np.asarray(image).transpose(2, 0, 1)
    for suffix in (".png", ".bmp", ".ppm", ".tiff"):
        image.save(tmp_path / f"a{suffix}")
        found = data.read_image(tmp_path / f"a{suffix}", 3)
        assert found.dtype == np.uint8 and found.flags.c_contiguous and found.flags.writeable
        np.testing.assert_array_equal(found, x)
    image.save(tmp_path / "a.jpg", quality=95)
    assert data.read_image(tmp_path / "a.jpg", 3).shape == (3, 6, 5)
    grey = data.read_image(str(tmp_path / "a.png"), 1)
    np.testing.assert_allclose(grey[0], np.tensordot([0.299, 0.587, 0.114], x, 1), atol=1)
    assert data.read_image(tmp_path / "a.png", 3, (12, 3)).shape == (3, 12, 3)


@pytest.mark.parametrize("mode", ["1", "L", "P", "LA", "RGBA", "CMYK", "I;16", "I", "F"])
def test_read_image_modes(mode: str, tmp_path: Path) -> None:
    path = tmp_path / "a.tiff"
    if mode in ("I;16", "I"):
        deep: Any = np.array([[0, 255, 256], [0x7FFF, 0x8000, 0xFFFF]], np.uint16 if mode == "I;16" else np.int32)
        Image.fromarray(deep).save(path)
        np.testing.assert_array_equal(data.read_image(path, 1)[0], deep >> 8)
        np.testing.assert_array_equal(data.read_image(path, 3)[2], deep >> 8)
        return
    picture(mode="L").convert(mode).save(path)
    if mode == "F":
        with pytest.raises(ValueError, match="integer pixels"):
            data.read_image(path, 1)
        return
    assert data.read_image(path, 3).shape == (3, 5, 4)
    assert data.read_image(path, 1).shape == (1, 5, 4)


def test_deep_grey_beyond_16_bits(tmp_path: Path) -> None:
    Image.fromarray(np.array([[70_000]], np.int32)).save(tmp_path / "a.tiff")
    with pytest.raises(ValueError, match="at most 16 bits"):
        data.read_image(tmp_path / "a.tiff", 1)


def test_photos_are_turned_upright(tmp_path: Path) -> None:
    image, exif = picture(6, 4), Image.Exif()
    exif[0x0112] = 6
    image.save(tmp_path / "a.png", exif=exif)
    expected = np.rot90(np.asarray(image), -1).transpose(2, 0, 1)
    np.testing.assert_array_equal(data.read_image(tmp_path / "a.png", 3), expected)
    for name in ("x", "y"):
        (tmp_path / "set" / name).mkdir(parents=True)
        for number in range(2):
            image.save(tmp_path / "set" / name / f"{number}.png", exif=exif)
    assert data.load(tmp_path / "set").input_shape == (3, 4, 6)


def test_read_image_bad_paths_and_arguments(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"none\.png"):
        data.read_image(tmp_path / "none.png", 1)
    with pytest.raises(IsADirectoryError):
        data.read_image(tmp_path, 1)
    picture().save(tmp_path / "a.png")
    with pytest.raises(ValueError, match="read_image: channels must be 1 or 3, got 2"):
        data.read_image(tmp_path / "a.png", 2)
    with pytest.raises(ValueError, match="read_image: size must be"):
        data.read_image(tmp_path / "a.png", 1, (1 << 20, 1 << 20))
    with pytest.raises(TypeError, match="read_image: path must be"):
        data.read_image(3, 1)  # type: ignore[arg-type]
    for content in (b"", b"hello", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n"):
        (tmp_path / "b.png").write_bytes(content)
        with pytest.raises(
            ValueError, match=r"read_image: .*b\.png: not a whole image: cannot identify image file 'b\.png'"
        ):
            data.read_image(tmp_path / "b.png", 1)


def test_huge_images_are_refused_by_their_header(tmp_path: Path) -> None:
    path = tmp_path / "huge.ppm"
    for side, rule in ((9000, "9000x9000 pixels, at most 67108864"), (100_000, "pixels")):
        path.write_bytes(b"P6 %d %d 255\n" % (side, side) + bytes(100))
        with pytest.raises(ValueError, match=rule):
            data.read_image(path, 3)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", ["png", "jpeg", "gif", "bmp", "ppm", "tiff"])
def test_cut_images_and_mutants(kind: str, tmp_path: Path) -> None:
    file = io.BytesIO()
    picture(9, 9).save(file, kind)
    content, path = file.getvalue(), tmp_path / f"a.{kind}"
    path.write_bytes(content)
    assert data.read_image(path, 3).shape == (3, 9, 9)
    for length in range(0, len(content), 3):
        path.write_bytes(content[:length])
        try:  # a decoder may be content without the last bytes
            data.read_image(path, 3)
            assert length > len(content) / 2
        except ValueError as error:
            assert str(path) in str(error)
    draw = random.Random(0)
    for _ in range(200):
        changed = bytearray(content)
        changed[draw.randrange(len(content))] = draw.randrange(256)
        path.write_bytes(changed)
        try:
            data.read_image(path, 1, (8, 8))
        except ValueError as error:
            assert str(path) in str(error)


def test_a_damaged_image_in_a_folder_is_named(tmp_path: Path) -> None:
    tree(tmp_path)
    path = tmp_path / "dog" / "03.png"
    path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(ValueError, match=r"load: .*03\.png: not a whole image"):
        data.load(tmp_path)


def test_message_without_pillow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tree(tmp_path)
    monkeypatch.setitem(sys.modules, "PIL", None)
    for call in (lambda: data.load(tmp_path), lambda: data.read_image(tmp_path / "cat" / "00.png", 1)):
        with pytest.raises(ImportError, match=r'pip install "pycnn\[images\]"'):
            call()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_among_the_images(tmp_path: Path) -> None:
    tree(tmp_path)
    os.mkfifo(tmp_path / "cat" / "zz.png")
    with pytest.raises(OSError, match=r"zz\.png"):
        data.load(tmp_path)
