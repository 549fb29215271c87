"""Where the policy comes from: the file that comes with Zhida, or the operator's own."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast

from libs.shared.service import Running
from libs.shared.settings import SettingsError
from services.sla_timer.domain import policy
from services.sla_timer.domain.policy import Policy, PolicyError
from services.sla_timer.settings import SlaTimerSettings

DEFAULT = Path(__file__).parent / "policies" / "default.yaml"


def load(path: Path) -> Policy:
    """The policy in that file.

    Raises: PolicyError naming each place that is wrong; also for a file that cannot be read.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise PolicyError([("file", f"cannot be read: {error.strerror}")]) from None
    except UnicodeDecodeError:
        raise PolicyError([("file", "is not UTF-8 text")]) from None
    return policy.read(text)


@asynccontextmanager
async def opened(running: Running) -> AsyncIterator[Policy]:
    """The policy this process goes by until it ends; a faulty one stops the start with its faults."""
    path = cast(SlaTimerSettings, running.settings).sla_policy or DEFAULT
    try:
        yield load(path)
    except PolicyError as error:
        raise SettingsError(f"ZHIDA_SLA_POLICY: {path}:\n{error}") from None
