"""Classification's own settings."""

from pydantic import Field

from libs.shared.settings import Settings


class ClassificationSettings(Settings):
    """What every service reads, and the matrix to begin with."""

    matrix_pack: str = "power_95598"  # loaded when the database has no matrix yet: a pack's name or a file's path
    refresh_seconds: float = Field(2.0, gt=0, le=60)  # how often a process looks which matrix and model are in force
    claim_seconds: int = Field(300, ge=10, le=3600)  # how long a claimed review is kept for the reviewer
    # How long repeats and hot events are looked for besides the running month: `rules.repeat.days` is 60 at most.
    trace_months: int = Field(2, ge=2)
