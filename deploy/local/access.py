"""The operator's way in after `make up`: one key per service, and a file for the shell with every address and key."""

from functools import partial
from pathlib import Path

from deploy.local import environment, together
from deploy.local.stack import Stack
from libs.shared.keys import SCOPES

PRINCIPAL = "operator"
FILE = "zhida.env"


def grant(stack: Stack) -> Path:
    """Write the file (mode 0600), with a key for every service that still has none; `. .local/zhida.env` reads it.

    The operator's keys carry every scope: they are for trying things on one's own machine.
    """
    names = environment.services()
    keys = dict(zip(names, together.run([partial(_key, stack, name) for name in names], 2), strict=True))
    lines = ["# Addresses and operator's keys of the Zhida that runs here; `make up` writes this file anew."]
    for name in names:
        lines += [f"{name.upper()}_URL={stack.url(name)}", f"{name.upper()}_KEY={keys[name]}"]
    path = stack.place.folder / FILE
    path.touch(0o600)
    path.chmod(0o600)
    path.write_text("\n".join(lines) + "\n")
    return path


def _key(stack: Stack, service: str) -> str:
    """The operator's key of this service: the one kept here while the service knows it, else a new one."""
    name = f"{service}-operator-key"
    kept = stack.place.folder / "secrets" / name
    if kept.exists():
        prefix = stack.place.secret(name).partition(".")[0]
        if any(line.startswith(f"{prefix} ") for line in stack.command(service, "keys", "list").splitlines()):
            return stack.place.secret(name)
        kept.unlink()
    return stack.place.secret(name, lambda: stack.create_key(service, PRINCIPAL, *SCOPES))
