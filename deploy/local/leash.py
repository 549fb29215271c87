"""For programs that others start: end, in good order, when the one that started them is gone."""

import os
import signal
import threading


def leash() -> None:
    """SIGTERM for this process as soon as its standard input ends."""
    threading.Thread(target=_watch, daemon=True).start()


def _watch() -> None:
    while os.read(0, 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
