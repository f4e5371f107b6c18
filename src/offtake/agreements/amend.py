"""Whether a new text may amend an agreement."""

from __future__ import annotations

from offtake.agreements.model import Agreement
from offtake.base.outcome import Refused


def check_amendment(old: Agreement, new: Agreement) -> Refused | None:
    """Why a new text can't amend an agreement, or None.

    Refusals, in order: `currency_changed`, `time_zone_changed`, `tranche_dropped`. Money that was billed and
    months that were counted can't be restated by an amendment; a tranche ends by its date.
    """
    if new.currency != old.currency:
        return Refused(
            code="currency_changed",
            sentence=f"{old.id} is in {old.currency}; write a new agreement for {new.currency}",
        )
    if new.time_zone != old.time_zone:
        return Refused(
            code="time_zone_changed",
            sentence=f"{old.id} counts its months in {old.time_zone}; an amendment can't change that",
        )
    dropped = sorted({tranche.id for tranche in old.tranches} - {tranche.id for tranche in new.tranches})
    if dropped:
        return Refused(
            code="tranche_dropped",
            sentence=f"{old.id}: tranche {', '.join(dropped)} is gone; end it with `through`, keep its id",
        )
    return None
