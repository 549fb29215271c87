"""For programs started by `Place.spawn`: end, in good order, when the one that started them is gone."""

import os
import signal
import sys
import threading


def leash() -> None:
    """SIGTERM for this process as soon as its standard input ends."""
    threading.Thread(target=_watch, daemon=True).start()


def _watch() -> None:
    sys.stdin.buffer.read()
    os.kill(os.getpid(), signal.SIGTERM)
