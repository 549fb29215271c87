"""dispatch: what it hears, says, serves and runs."""

from libs.shared.contracts.classification import MatrixPublished, TicketClassified
from libs.shared.contracts.dispatch import (
    CellDisputed,
    DeliveryFailed,
    EvidenceAdded,
    QuestionAnswered,
    QuestionAsked,
    ReturnRuled,
    TicketAnswered,
    TicketClosed,
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
from services.dispatch import api, handlers, reassigning, retention
from services.dispatch.settings import DispatchSettings

service = Service(
    name="dispatch",
    hears={
        TicketClassified: handlers.assign,
        TicketAmended: handlers.amend,
        ClockWarned: handlers.hurry,
        ClockBreached: handlers.fall_back,
        MatrixPublished: handlers.know,
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
        CellDisputed,
    ),
    serves=api.router,
    runs=(handlers.send_deliveries, reassigning.run),
    settings=DispatchSettings,
    keeps=retention.KEEPS,
    opens=handlers.opened,
)
