"""Runs the receiver kit's own command in a process that ends, in good order, when the one that started it is gone.

`python -m demo.leash simulate --config plan.json`: as `zhida-receiver simulate`, with standard input as the leash.
"""

import os
import signal
import sys
import threading

from zhida_receiver.command import main


def _watch() -> None:
    sys.stdin.buffer.read()
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    threading.Thread(target=_watch, daemon=True).start()
    main()
