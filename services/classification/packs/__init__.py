"""The packs that come with Zhida, and where a pack is read from."""

from pathlib import Path
from typing import Any

from services.classification.domain import pack, sheet
from services.classification.domain.matrix import Matrix

FOLDER = Path(__file__).parent


class PackError(ValueError):
    """There is no such pack or file, or it cannot be read; says why."""


def names() -> list[str]:
    """The packs that come with Zhida."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def text(name: str) -> str:
    """The text of a pack that comes with Zhida."""
    return (FOLDER / f"{name}.yaml").read_text(encoding="utf-8")


def read(name_or_path: str) -> Matrix:
    """The matrix of a pack that comes with Zhida, by its name, or of a file: YAML, or a workbook (.xlsx).

    Raises: PackError where there is no such file, MatrixError with all that is wrong in it.
    """
    if name_or_path in names():
        return pack.read(text(name_or_path))
    path = Path(name_or_path)
    try:
        data = path.read_bytes()
    except OSError as error:
        known = ", ".join(names())
        raise PackError(f"{path}: {error.strerror}. It is neither a file nor one of the packs {known}") from None
    return sheet.read(data) if _is_book(path) else pack.read(data)


def write(path: Path, raw: dict[str, Any]) -> None:
    """A full form into a file of the kind that its ending says. Raises OSError, MatrixError."""
    path.write_bytes(sheet.write(raw) if _is_book(path) else pack.write(raw).encode())


def _is_book(path: Path) -> bool:
    return path.suffix.lower() == ".xlsx"
