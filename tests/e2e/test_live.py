"""Reconciled in the middle of the traffic: what moves is left out, and nothing else is said."""

from dataclasses import replace
from pathlib import Path

from reconcile import reconcile
from tests.e2e import ledger
from tests.e2e.zhida import Zhida

SETTLE = 20.0  # s; longer than a busy machine takes for one step


async def test_a_system_at_work_balances_but_for_what_moves(zhida: Zhida, tmp_path: Path) -> None:
    async with ledger.opened(zhida, tmp_path) as book:
        async with book.flowing():
            await book.come(60)
            at_work = await reconcile(replace(book.sources(), streams=(), settle=SETTLE, closed=False, whole=False))
            print(at_work.counts)
            assert at_work.failed == {}
        await book.reconciled()
