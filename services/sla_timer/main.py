"""sla_timer: what it hears, says, serves and runs."""

from libs.shared.contracts.dispatch import (
    MasterJoined,
    ReturnRuled,
    TicketAnswered,
    TicketClosed,
    TicketMerged,
    TicketReopened,
    WorkOrderAccepted,
    WorkOrderAnswered,
    WorkOrderAssigned,
    WorkOrderCancelled,
    WorkOrderContacted,
    WorkOrderReturned,
)
from libs.shared.contracts.sla_timer import ClockBreached, ClocksStarted, ClocksStopped, ClockWarned, Escalated
from libs.shared.service import Service
from services.sla_timer import api, handlers, policy_file, retention, timers
from services.sla_timer.settings import SlaTimerSettings

service = Service(
    name="sla_timer",
    hears={
        WorkOrderAssigned: handlers.start,
        WorkOrderAccepted: handlers.accept,
        WorkOrderContacted: handlers.contact,
        WorkOrderAnswered: handlers.answer,
        WorkOrderReturned: handlers.give_back,
        WorkOrderCancelled: handlers.cancel,
        ReturnRuled: handlers.rule,
        TicketAnswered: handlers.settle,
        TicketClosed: handlers.close,
        TicketReopened: handlers.reopen,
        TicketMerged: handlers.merge,
        MasterJoined: handlers.join,
    },
    says=(ClocksStarted, ClocksStopped, ClockWarned, ClockBreached, Escalated),
    serves=api.router,
    runs=(timers.run,),
    settings=SlaTimerSettings,
    keeps=retention.KEEPS,
    opens=policy_file.opened,
)
