"""For departments that work with Zhida: believe its webhooks, deal with each once, answer back."""

from zhida_receiver.app import Attempt, receiver
from zhida_receiver.call import DepartmentError, MoveRefused, Refused, Unreachable
from zhida_receiver.department import Department, OpenOrder, OpenReturn
from zhida_receiver.key import KeyFile
from zhida_receiver.notice import Notice, NoticeUnreadable, WorkOrder
from zhida_receiver.receipt import Receipt, Receipts, Reply
from zhida_receiver.signature import (
    Delivery,
    DeliveryUnverified,
    Keys,
    KeyUnreadable,
    new_key_pair,
    new_secret,
    sign,
    signed_headers,
    verify,
)

__all__ = [
    "Attempt",
    "Delivery",
    "DeliveryUnverified",
    "Department",
    "DepartmentError",
    "KeyFile",
    "KeyUnreadable",
    "Keys",
    "MoveRefused",
    "Notice",
    "NoticeUnreadable",
    "OpenOrder",
    "OpenReturn",
    "Receipt",
    "Receipts",
    "Refused",
    "Reply",
    "Unreachable",
    "WorkOrder",
    "new_key_pair",
    "new_secret",
    "receiver",
    "sign",
    "signed_headers",
    "verify",
]
