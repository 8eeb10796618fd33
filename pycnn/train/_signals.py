"""Ctrl-C during training: remember it, and end where the state is whole."""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator


class TrainingInterrupted(KeyboardInterrupt):
    """Ctrl-C came while a network was trained; the trainer is whole and ``fit()`` would go on where it stopped.

    A subclass of KeyboardInterrupt, so that ``except Exception`` does not catch it.
    """


@contextlib.contextmanager
def deferred_interrupt(remember: Callable[[], None]) -> Iterator[None]:
    """Call `remember` on the first Ctrl-C instead of raising; a second one raises KeyboardInterrupt at once.

    Only where Ctrl-C does what it does by default and this is the main thread: a program with a handler of its own
    keeps it, and one that ignores the signal goes on ignoring it.
    """
    usual = signal.default_int_handler
    if threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGINT) is not usual:
        yield
        return

    def handler(number: int, frame: object) -> None:
        signal.signal(signal.SIGINT, usual)
        remember()

    signal.signal(signal.SIGINT, handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, usual)
