"""Prints the part of requirements.lock that running services need, for the image; or only the packages named."""

import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def names(requirements: list[str]) -> set[str]:
    """The normalised names of packages in requirements such as `Name[extra]>=1; marker`."""
    return {re.sub(r"[-_.]+", "-", re.split(r"[\s\[<>=!~;(]", each, maxsplit=1)[0]).lower() for each in requirements}


def entries(lock: str) -> list[tuple[str, set[str], str]]:
    """Each entry of the lock: name, the packages that asked for it, and its text."""
    blocks = re.split(r"^(?=[a-z0-9])", lock, flags=re.MULTILINE)
    found = []
    for block in blocks:
        if match := re.match(r"([a-z0-9-]+)==", block):
            asked = re.findall(r"^    #(?: via)? +([a-z0-9-]+)", block.replace("# via ", "#   "), flags=re.MULTILINE)
            found.append((match.group(1), set(asked), block))
    return found


def runtime(project: str, lock: str) -> str:
    """The lock's entries that the project's own dependencies lead to."""
    locked = entries(lock)
    wanted = names(tomllib.loads(project)["project"]["dependencies"])
    while True:
        reached = wanted | {name for name, asked, _ in locked if asked & wanted}
        if reached == wanted:
            return "".join(text for name, _, text in locked if name in wanted)
        wanted = reached


if __name__ == "__main__":
    requirements = (ROOT / "requirements.lock").read_text()
    if only := sys.argv[1:]:
        sys.stdout.write("".join(text for name, _, text in entries(requirements) if name in only))
    else:
        sys.stdout.write(runtime((ROOT / "pyproject.toml").read_text(), requirements))
