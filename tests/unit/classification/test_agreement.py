"""Two classifiers on the same tickets: a table."""

from services.classification import packs
from services.classification.domain.agreement import Right, Said, agreement

CITY = packs.read("city_12345")
ONE = CITY.situations[0]
SAME = next(each for each in CITY.situations[1:] if each.route == ONE.route)
OTHER = next(each for each in CITY.situations if each.lead != ONE.lead)


def test_who_agrees_and_who_was_right_is_counted_by_route() -> None:
    found = agreement(
        [
            Said(ONE, SAME, None, 3, 2.4, 1.8),
            Said(ONE, ONE, SAME, 2, 1.6, 1.6),
            Said(ONE, OTHER, ONE, 4, 2.0, 3.0),
            Said(OTHER, ONE, ONE, 1, 0.5, 0.6),
            Said(OTHER, OTHER, ONE, 1, 0.5, 0.6),
        ]
    )
    assert (found.tickets, found.agreed) == (11, 6)
    assert (found.probability, found.shadow_probability) == (0.6364, 0.6909)
    assert found.leads[:2] == ((ONE.lead, ONE.lead, 5), (ONE.lead, OTHER.lead, 4))
    assert set(found.leads[2:]) == {(OTHER.lead, ONE.lead, 1), (OTHER.lead, OTHER.lead, 1)}
    assert found.right == Right(tickets=8, both=2, active=4, shadow=1, neither=1)


def test_nothing_said_is_nothing_agreed() -> None:
    found = agreement([])
    assert (found.tickets, found.probability, found.leads, found.right.tickets) == (0, 0.0, (), 0)
