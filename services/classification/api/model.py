"""For those who answer for the models: how good they are, what trainings came to, the shadow beside the active one."""

from typing import Annotated

from fastapi import APIRouter, Path, Query, Request

from libs.shared.web import Caller, Refused, caller, problems, running
from services.classification import beside, store
from services.classification.api import shape

router = APIRouter(tags=["models"])

Owner = Annotated[Caller, caller("review", "supervise", "publish")]


@router.get("/v1/models", summary="Trained models", responses=problems())
async def models(request: Request, who: Owner) -> shape.ModelList:
    """The latest first, and what the last trainings came to."""
    process = running(request)
    in_force = await store.registry.in_force(process)
    rows = await store.registry.models(process)
    return shape.ModelList(
        active=in_force.get("model"),
        shadow=in_force.get("shadow"),
        models=[shape.ModelView.model_validate(row.report | row._asdict()) for row in rows],
        trainings=[shape.Training(**row._asdict()) for row in await store.registry.trainings(process)],
    )


@router.get("/v1/models/shadow", summary="The shadow beside what is in force", responses=problems(404, 422))
async def shadow(request: Request, who: Owner, days: Annotated[int, Query(ge=1, le=31)] = 7) -> shape.ShadowView:
    """On the tickets of the last days, at most the latest 100,000. 404 where no model is in the shadow."""
    found = await beside.compare(running(request), days)
    if found is None:
        raise Refused(404, "Not found", "no model is in the shadow")
    return shape.ShadowView.of(found, days)


@router.get("/v1/models/{version}", summary="One of them", responses=problems(404, 422))
async def model(request: Request, version: Annotated[str, Path(max_length=100)], who: Owner) -> shape.ModelDetail:
    """With its cross-validated report."""
    row = await store.registry.described(running(request), version)
    if row is None:
        raise Refused(404, "Not found", "there is no such model")
    return shape.ModelDetail.model_validate(row.report | row._asdict())
