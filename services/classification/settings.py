"""Classification's own settings."""

from pydantic import Field

from libs.shared.settings import Settings


class ClassificationSettings(Settings):
    """What every service reads, and the matrix to begin with."""

    matrix_pack: str = "power_95598"  # loaded when the database has no matrix yet: a pack's name or a file's path
    refresh_seconds: float = Field(2.0, gt=0, le=60)  # how often a process looks which matrix and model are in force
    retrain_hours: float = Field(0.0, ge=0, le=8760)  # least time between two trainings; 0: none on its own
    retrain_decisions: int = Field(200, ge=1)  # decisions that must be new since the last model, so that one is trained
    retrain_files: str = ""  # labelled CSV files beside the decisions, separated as in PATH
    claim_seconds: int = Field(300, ge=10, le=3600)  # how long a claimed review is kept for the reviewer
    what_if_processes: int = Field(2, ge=1, le=64)  # that classify in a what-if asked for over HTTP
    # How long repeats and hot events are looked for besides the running month: `rules.repeat.days` is 60 at most.
    trace_months: int = Field(2, ge=2)
