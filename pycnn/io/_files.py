"""Opening and replacing files: errors that name the path, and writes that are whole or not at all."""

import contextlib
import errno
import io
import os
import stat
from collections.abc import Iterator
from typing import BinaryIO, Literal, TextIO, overload

Path = str | os.PathLike[str]

# Windows has neither O_CLOEXEC nor O_NONBLOCK, the others no O_BINARY.
_BINARY = getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
_NONBLOCK = getattr(os, "O_NONBLOCK", 0)


def path_name(function: str, path: Path) -> str:
    """`path` as text; a TypeError where it is no path (an open file, a number)."""
    name = os.fspath(path) if isinstance(path, (str, os.PathLike)) else None
    if not isinstance(name, str):
        raise TypeError(f"{function}: path must be str or path-like, got {type(path).__name__}")
    if "\0" in name:
        raise ValueError(f"{function}: path must not hold a NUL character, got {name!r}")
    return name


@contextlib.contextmanager
def describing(function: str, name: str) -> Iterator[None]:
    """Put the function and the path in front of every ValueError, and the path into every bare OSError."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{function}: {name}: {error}") from error
    except OSError as error:
        if error.filename is None:
            error.filename = name
        raise


def open_regular(name: str) -> BinaryIO:
    """Open an ordinary file for reading; an OSError for anything else, without waiting on a pipe."""
    fd = os.open(name, os.O_RDONLY | _BINARY | _NONBLOCK)
    try:
        mode = os.fstat(fd).st_mode
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), name)
        if not stat.S_ISREG(mode):
            raise OSError(errno.EINVAL, "Not an ordinary file", name)
        return os.fdopen(fd, "rb")
    except BaseException:
        os.close(fd)
        raise


@overload
def atomic_write(path: Path, mode: Literal["wb"] = "wb") -> contextlib.AbstractContextManager[BinaryIO]: ...
@overload
def atomic_write(path: Path, mode: Literal["w"]) -> contextlib.AbstractContextManager[TextIO]: ...


def atomic_write(
    path: Path, mode: Literal["wb", "w"] = "wb"
) -> contextlib.AbstractContextManager[BinaryIO] | contextlib.AbstractContextManager[TextIO]:
    r"""Open a file whose content replaces `path` when the ``with`` block ends well.

    The bytes go to a hidden file ``.pycnn-*.tmp`` in the same directory, which is flushed to the disk and
    then renamed over `path`, after which the directory is flushed too. Whoever opens `path`, at any moment
    and after a kill or a power cut, finds the old content or the new one. If the block or any step of
    writing raises, the old file is as it was and the temporary file is removed; only a kill can leave one.

    An existing file keeps its permission bits, and a symbolic link keeps pointing where it did. The rename
    itself may be lost in a power cut on file systems that cannot flush a directory.

    Parameters
    ----------
    path : str or path-like
    mode : {"wb", "w"}
        Bytes, or text in UTF-8 whose line ends are written as they are.

    Returns
    -------
    context manager giving a writable, seekable file

    Raises
    ------
    OSError
        `path` is a directory or another thing that is not an ordinary file, is write-protected, or cannot be
        written (no directory, no permission, disk full).

    Examples
    --------
    >>> import os, tempfile
    >>> path = os.path.join(tempfile.mkdtemp(), "history.csv")
    >>> with atomic_write(path, "w") as file:
    ...     _ = file.write("epoch,loss\n")
    >>> open(path).read()
    'epoch,loss\n'
    """
    if mode not in ("wb", "w"):
        raise ValueError(f"atomic_write: mode must be 'wb' or 'w', got {mode!r}")
    name = path_name("atomic_write", path)
    return _replacing(name) if mode == "wb" else _replacing_text(name)


@contextlib.contextmanager
def _replacing(name: str) -> Iterator[BinaryIO]:
    target = os.path.realpath(name)
    temp: str | None = None
    try:
        permissions = _permissions(target)
        fd, temp = _create_beside(target, permissions)
        with os.fdopen(fd, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temp, target)
    except BaseException as error:
        if temp is not None:
            with contextlib.suppress(OSError):
                os.unlink(temp)
        if isinstance(error, OSError) and error.filename in (None, temp, target):
            # "No space left on device" of a write names no file, and nobody knows the temporary one.
            error.filename, error.filename2 = name, None
        raise
    _flush_directory(os.path.dirname(target))


@contextlib.contextmanager
def _replacing_text(name: str) -> Iterator[TextIO]:
    with _replacing(name) as file:
        text = io.TextIOWrapper(file, encoding="utf-8", newline="")
        try:
            yield text
            text.flush()
        finally:
            # The wrapper must not close the file below it; detaching flushes, which may fail a second time.
            with contextlib.suppress(OSError, ValueError):
                text.detach()


def _permissions(target: str) -> int | None:
    """Permission bits of an existing file, None where there is none; an OSError if it may not be replaced."""
    try:
        mode = os.stat(target).st_mode
    except FileNotFoundError:
        return None
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), target)
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, "Not an ordinary file", target)
    if not os.access(target, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), target)
    return stat.S_IMODE(mode)


def _create_beside(target: str, permissions: int | None) -> tuple[int, str]:
    """Create a file in the directory of `target`; a fresh one gets what the umask leaves of rw-rw-rw-."""
    temp = os.path.join(os.path.dirname(target), f".pycnn-{os.urandom(8).hex()}.tmp")
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | _BINARY
    try:
        fd = os.open(temp, flags, 0o666 if permissions is None else 0o600)
    except OSError as error:
        error.filename = target
        raise
    if permissions is not None:
        try:
            os.chmod(temp, permissions)
        except BaseException:
            os.close(fd)
            os.unlink(temp)
            raise
    return fd, temp


def _flush_directory(folder: str) -> None:
    """Make the rename itself lasting, where the system can; the content is safe either way."""
    with contextlib.suppress(OSError):
        fd = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
