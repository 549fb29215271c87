"""For matrix owners: the matrix in force, its versions, and which of them is in force when."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from libs.shared.db import Poison
from libs.shared.web import Caller, Refused, caller, command, idempotency_key, problems, running
from services.classification import draft, registry, store
from services.classification.api import shape
from services.classification.api import shape_draft as shapes
from services.classification.api.draft import FILES, Format, Number, Owner, Reader, file, kept
from services.classification.current import current
from services.classification.domain import pack

router = APIRouter(prefix="/v1/matrix", tags=["matrix"])


@router.get("", summary="The matrix in force", responses=problems())
async def matrix_in_force(
    request: Request, who: Annotated[Caller, caller("agent", "department", "review", "matrix", "supervise", "publish")]
) -> shape.MatrixView:
    """Departments and all situations, with every inherited key written out."""
    now = await current(running(request)).in_force()
    matrix = now.matrix
    return shape.MatrixView(
        version=matrix.version,
        pack=matrix.name,
        title=matrix.title,
        model_version=now.model_version,
        departments=[
            shape.MatrixDepartment(
                code=each.code,
                name=each.name,
                role=each.role,
                posts=[shape.MatrixPost(name=post.name, hours=post.hours, inbox=post.inbox) for post in each.posts],
                webhook=each.webhook,
            )
            for each in matrix.departments
        ],
        situations=[
            shape.MatrixSituation(
                code=each.code,
                name=each.name,
                description=each.description,
                path=each.path,
                category=each.category,
                phrases=[phrase.text for phrase in each.phrases],
                lead=each.lead,
                executing=list(each.executing),
                supervisor=each.supervisor,
                sla_class=each.sla_class,
                join_policy=each.join_policy,
                urgency=each.urgency,
                business_type=each.business_type,
                complaint_object=each.complaint_object,
            )
            for each in matrix.situations
        ],
    )


@router.get("/versions", summary="Versions, and when each was in force", responses=problems())
async def versions(request: Request, who: Reader) -> shapes.Versions:
    """With those whose effective time is still to come."""
    process = running(request)
    now = (await store.registry.in_force(process)).get("matrix")
    rows = await store.registry.matrices(process)
    history = await store.registry.history(process, "matrix")
    return shapes.Versions(
        versions=[shapes.Version(**row._asdict(), in_force=row.version == now) for row in rows],
        activations=[shapes.Activation(activation_id=row.id, **row._asdict()) for row in history],
    )


@router.get(
    "/versions/{version}/file",
    summary="A version as a file",
    response_class=Response,
    responses={200: {"content": FILES}, **problems(404, 422)},
)
async def version_file(
    request: Request, version: str, who: Reader, format_: Annotated[Format, Query(alias="format")] = "yaml"
) -> Response:
    """YAML or an Excel workbook; a draft takes either back as it was."""
    return await file(pack.form(await kept(request, version)), format_, version)


@router.post(
    "/activations",
    summary="Put a kept version in force again",
    response_model=shapes.Scheduled,
    responses=problems(400, 404, 409, 422),
)
async def activate(request: Request, body: shapes.ActivateBody, who: Owner) -> Response:
    """A roll back to the version before, or any other; at once or from `effective_at` on."""
    idempotency_key(request)
    version = body.version
    if version is None:
        try:
            version = await registry.matrix_before(running(request))
        except Poison as error:
            raise Refused(409, "Nothing to roll back to", str(error)) from None
    args = draft.Activate(await kept(request, version), who.principal, body.reason, body.effective_at)
    return await command(request, draft.activate, args, key=registry.LOCK, body=body)


@router.post(
    "/activations/{activation_id}/cancel",
    summary="Take back an effective time that has not come yet",
    response_model=shapes.Cancelled,
    responses=problems(400, 404, 422),
)
async def cancel(request: Request, activation_id: Number, who: Owner) -> Response:
    """What is in force then stays so."""
    args = draft.Cancel(activation_id, who.principal)
    return await command(request, draft.cancel, args, key=registry.LOCK)
