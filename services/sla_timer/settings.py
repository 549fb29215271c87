"""sla_timer's own settings."""

from pathlib import Path

from libs.shared.settings import Settings


class SlaTimerSettings(Settings):
    """`ZHIDA_SLA_POLICY`: a policy file in place of the one that comes with Zhida."""

    sla_policy: Path | None = None
