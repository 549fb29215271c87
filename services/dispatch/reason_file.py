"""Where the reasons of returns come from: the list that comes with Zhida, or the operator's own."""

from pathlib import Path

from libs.shared.settings import SettingsError
from services.dispatch.domain import reason
from services.dispatch.domain.reason import Reasons, ReasonsError

DEFAULT = Path(__file__).parent / "reasons" / "default.yaml"


def load(path: Path | None) -> Reasons:
    """The reasons in that file, or the default ones. Raises: SettingsError naming the file and each fault."""
    file = path or DEFAULT
    try:
        return reason.read(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"ZHIDA_RETURN_REASONS: cannot read {file}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise SettingsError(f"ZHIDA_RETURN_REASONS: {file}: is not UTF-8 text") from None
    except ReasonsError as error:
        raise SettingsError(f"ZHIDA_RETURN_REASONS: {file}:\n{error}") from None
