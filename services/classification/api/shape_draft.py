"""What requests and answers about drafts and versions of the matrix look like."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, AwareDatetime, BaseModel, Field

from libs.shared import storable
from libs.shared.web import Body
from services.classification.api.shape import LINE, TEXT
from services.classification.domain.draft import Kind, Operation

Reason = Field(min_length=1, max_length=500, pattern=TEXT, description="why; kept beside the change")
Line = Annotated[str, Field(pattern=LINE)]
Tree = Annotated[Any, AfterValidator(storable.tree)]


class OpenBody(Body):
    """A draft to begin."""

    title: Line = Field(min_length=1, max_length=200)
    version: Line | None = Field(None, max_length=120, description="begins as this version is; default: as in force")
    reason: str = Reason


class ChangeBody(Body):
    """One change: a cell set, a row added or removed."""

    op: Operation = "set"
    kind: Kind = Field(description="whose row it is; `rules` and `matrix` are one row each and have no code")
    code: Line = Field("", max_length=64)
    cell: Line = Field("", max_length=32, description="of `set`: which cell")
    value: Tree = Field(
        None, description="of `set`: what the cell is to hold; of `add`: an object with the row's cells"
    )


class ChangesBody(Body):
    """Changes to a draft, made together or not at all."""

    revision: int = Field(ge=1, strict=True, description="the draft's revision as you have seen it")
    reason: str = Reason
    changes: list[ChangeBody] = Field(min_length=1, max_length=500)


class TryBody(Body):
    """Over which tickets."""

    days: int = Field(30, ge=1, le=400, strict=True, description="the tickets of so many days back from now")


class PublishBody(Body):
    """What is published, and from when on."""

    revision: int = Field(ge=1, strict=True, description="the revision you sign off")
    reason: str = Reason
    effective_at: AwareDatetime | None = Field(None, description="when it comes in force; left out: at once")
    over: Line | None = Field(
        None, max_length=120, description="the version in force, where another than the draft's base came in force"
    )


class ReasonBody(Body):
    """Why."""

    reason: str = Reason


class ActivateBody(ReasonBody):
    """A kept version to put in force again."""

    version: Line | None = Field(
        None, min_length=1, max_length=120, description="left out: the one in force before the present one"
    )
    effective_at: AwareDatetime | None = Field(None, description="when it comes in force; left out: at once")


class MatrixProblem(BaseModel):
    """What keeps a matrix from being used, and where."""

    place: str = Field(description="such as `situation A01-1.lead`")
    reason: str


class CellDifference(BaseModel):
    """What is otherwise in one cell. Without a cell a whole row came (`before` null) or went (`after` null)."""

    kind: Kind
    code: str
    cell: str
    before: Any
    after: Any


class WhatIf(BaseModel):
    """A what-if run of a draft: how far it is, and what it gave."""

    revision: int = Field(description="which revision was tried; the draft may have moved on")
    state: Literal["waiting", "running", "done", "failed"]
    days: int
    done: int
    total: int
    asked_by: str
    asked_at: datetime
    ended_at: datetime | None
    fault: str | None


class WhatIfOutcome(WhatIf):
    """With its figures: see `zhida classification matrix what-if`."""

    outcome: dict[str, Any] | None


class DraftSummary(BaseModel):
    """A draft, without what is in it."""

    draft_id: int
    title: str
    state: Literal["open", "published", "discarded"]
    base: str = Field(description="the version it began from")
    revision: int = Field(description="one more with each change")
    problems: list[MatrixProblem] = Field(description="what keeps it from being published")
    origin: dict[str, Any] | None = Field(description="what suggested it; null: a person")
    opened_by: str
    opened_at: datetime
    changed_at: datetime
    version: str | None = Field(description="of a published draft")
    effective_at: datetime | None
    what_if: WhatIf | None


class DraftView(DraftSummary):
    """A draft with all that it changes."""

    differences: list[CellDifference] = Field(description="to the version it began from")
    what_if: WhatIfOutcome | None


class DraftPage(BaseModel):
    """One page of drafts."""

    items: list[DraftSummary]
    next: str | None


class Opened(BaseModel):
    """A new draft."""

    draft_id: int
    revision: int
    state: str
    base: str


class Changed(BaseModel):
    """A draft's new revision, and what is now wrong with it."""

    draft_id: int
    revision: int
    problems: list[MatrixProblem]


class Asked(BaseModel):
    """A what-if that was begun, or a draft that was laid aside."""

    draft_id: int
    revision: int | None = None
    state: str


class Scheduled(BaseModel):
    """A version, and when it comes in force."""

    version: str
    effective_at: datetime


class Cancelled(BaseModel):
    """An effective time that was taken back."""

    activation_id: int
    version: str
    cancelled_by: str


class DraftChange(BaseModel):
    """Who changed what, and why."""

    revision: int
    at: datetime
    by: str
    reason: str
    differences: list[CellDifference]


class DraftChanges(BaseModel):
    """One page of them, the latest first."""

    items: list[DraftChange]
    next: str | None


class Version(BaseModel):
    """A kept matrix version."""

    version: str
    pack: str
    title: str
    situations: int
    loaded_by: str
    loaded_at: datetime
    in_force: bool


class Activation(BaseModel):
    """When a version came in force, or will; who chose it, and why."""

    activation_id: int
    version: str
    by: str
    reason: str
    at: datetime
    effective_at: datetime
    cancelled_by: str | None
    cancelled_at: datetime | None


class Versions(BaseModel):
    """All versions, and the last hundred times one was put in force."""

    versions: list[Version]
    activations: list[Activation]
