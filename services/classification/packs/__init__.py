"""The packs that come with Zhida, and where a pack is read from."""

from pathlib import Path

FOLDER = Path(__file__).parent


class PackError(ValueError):
    """There is no such pack or file, or it cannot be read; says why."""


def names() -> list[str]:
    """The packs that come with Zhida."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def text(name_or_path: str) -> str:
    """The text of a pack, by its name or by the path of a file. Raises PackError."""
    path = FOLDER / f"{name_or_path}.yaml" if name_or_path in names() else Path(name_or_path)
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise PackError(f"{path} is not UTF-8: byte {error.start}") from None
    except OSError as error:
        known = ", ".join(names())
        raise PackError(f"{path}: {error.strerror}. It is neither a file nor one of the packs {known}") from None
