"""How notices are served, and when they count as received."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from typing import Annotated, ClassVar

from annotated_types import Ge, Le, MinLen

from offtake.agreements.model import Agreement, Clause
from offtake.base.declared import Declared
from offtake.base.errors import Problem
from offtake.base.months import plus_days
from offtake.base.workdays import check_place, is_business_day, plus_business_days


@dataclass(frozen=True, slots=True, kw_only=True)
class Way(Declared):
    """A way of serving a notice.

    Attributes:
        how: its name, such as "email" or "courier".
        days: days after it was sent on which it counts as received.
        business: whether those are business days; a notice then also counts only on a business day.
    """

    how: str
    days: Annotated[int, Ge(0), Le(365)] = 0
    business: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Notices(Clause):
    """Ways in which a notice may be served; one that is served in another way doesn't count.

    Attributes:
        way: the ways.
        place: whose public holidays count.

    Source: the usual form: by hand at once, by courier after two business days, by e-mail the next one.
    """

    NAME: ClassVar[str] = "notices"
    way: Annotated[tuple[Way, ...], MinLen(1)]
    place: str = "US"

    def check(self, agreement: Agreement, path: str) -> Iterable[Problem]:
        """Each way once; the place must have a calendar."""
        seen = set()
        for i, way in enumerate(self.way):
            if way.how in seen:
                yield Problem(
                    where=f"{path}.way[{i}].how", code="duplicate", message=f"{way.how!r} appears twice"
                )
            seen.add(way.how)
        try:
            check_place(self.place)
        except ValueError as error:
            yield Problem(where=f"{path}.place", code="unknown_place", message=str(error))

    def received(self, way: Way, sent: date) -> date:
        """The day on which a notice sent on a day counts as received."""
        if not way.business:
            return plus_days(sent, way.days)
        day = plus_business_days(sent, way.days, self.place)
        return day if is_business_day(day, self.place) else plus_business_days(day, 1, self.place)
