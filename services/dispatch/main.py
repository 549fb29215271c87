"""dispatch: what it hears, says, serves and runs."""

from libs.shared.contracts.classification import (
    HotEventClosed,
    HotEventDissolved,
    HotEventJoined,
    HotEventLeft,
    MatrixPublished,
    TicketClassified,
)
from libs.shared.contracts.dispatch import (
    CellDisputed,
    DeliveryFailed,
    EvidenceAdded,
    MasterJoined,
    QuestionAnswered,
    QuestionAsked,
    ReturnRuled,
    TicketAnswered,
    TicketClosed,
    TicketMerged,
    TicketReleased,
    TicketReopened,
    WorkOrderAccepted,
    WorkOrderAnswered,
    WorkOrderAssigned,
    WorkOrderCancelled,
    WorkOrderContacted,
    WorkOrderDelivered,
    WorkOrderReturned,
)
from libs.shared.contracts.intake import TicketAmended
from libs.shared.contracts.sla_timer import ClockBreached, ClockWarned
from libs.shared.service import Service
from services.dispatch import api, handlers, merging, reassigning, retention
from services.dispatch.settings import DispatchSettings

service = Service(
    name="dispatch",
    hears={
        TicketClassified: handlers.assign,
        TicketAmended: handlers.amend,
        ClockWarned: handlers.hurry,
        ClockBreached: handlers.fall_back,
        MatrixPublished: handlers.know,
        HotEventJoined: handlers.join,
        HotEventLeft: handlers.leave,
        HotEventClosed: handlers.finish,
        HotEventDissolved: handlers.dissolve,
    },
    says=(
        WorkOrderAssigned,
        WorkOrderDelivered,
        DeliveryFailed,
        WorkOrderAccepted,
        WorkOrderContacted,
        WorkOrderReturned,
        ReturnRuled,
        WorkOrderCancelled,
        QuestionAsked,
        QuestionAnswered,
        EvidenceAdded,
        WorkOrderAnswered,
        TicketAnswered,
        TicketClosed,
        TicketReopened,
        TicketMerged,
        TicketReleased,
        MasterJoined,
        CellDisputed,
    ),
    serves=api.router,
    runs=(handlers.send_deliveries, reassigning.run, merging.run),
    settings=DispatchSettings,
    keeps=retention.KEEPS,
    opens=handlers.opened,
)
