"""The packs that come with Zhida, and where a pack is read from."""

from pathlib import Path
from typing import Any, Literal

from services.classification.domain import pack, sheet
from services.classification.domain.matrix import Matrix

FOLDER = Path(__file__).parent
ZIP = b"PK\x03\x04"  # how a workbook begins


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
    return parse(data)


def parse(data: bytes) -> Matrix:
    """The matrix of a file's bytes: a workbook, which is a ZIP archive, or else YAML. Raises MatrixError."""
    return sheet.read(data) if data.startswith(ZIP) else pack.read(data)


def write(path: Path, raw: dict[str, Any]) -> None:
    """A form into a file of the kind that its ending says. Raises OSError, MatrixError."""
    path.write_bytes(text_of(raw, "xlsx" if path.suffix.lower() == ".xlsx" else "yaml"))


def text_of(raw: dict[str, Any], kind: Literal["yaml", "xlsx"]) -> bytes:
    """A form as a file's bytes. Raises MatrixError."""
    return sheet.write(raw) if kind == "xlsx" else pack.write(raw).encode()
