"""The seams that chaos patches are there: a point or protection that has lost its seam would never strike."""

import subprocess
import sys

import pytest

from chaos import point, protection

INSTALL = """
from chaos import point, protection
for each in protection.PROTECTIONS.values():
    each.switch_off()
for service in point.OF_SERVICE:
    point.install(point.Points(), service)
"""


def test_every_point_and_protection_finds_its_seam() -> None:
    done = subprocess.run([sys.executable, "-c", INSTALL], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


def test_every_point_is_explained_and_every_protection_says_what_is_lost() -> None:
    assert {name for names in point.OF_SERVICE.values() for name in names} == set(point.MEANING)
    assert all(each.without for each in protection.PROTECTIONS.values())


def test_an_unarmed_point_lets_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[int] = []
    monkeypatch.setattr("os.kill", lambda _, number: sent.append(number))
    points = point.Points()
    points.reach("after-commit")
    assert sent == []
    points.arm("after-commit", 9)
    points.reach("before-commit")
    points.reach("after-commit")
    points.reach("after-commit")  # each goes off once
    assert sent == [9]
