"""Imports every feature's tables, so that the metadata is complete (migrations, tests, seed)."""

from coordination.domain.agenda import models as agenda
from coordination.domain.bookings import models as bookings
from coordination.domain.care import models as care
from coordination.domain.communication import models as communication
from coordination.domain.consents import models as consents
from coordination.domain.oversight import models as oversight
from coordination.domain.partners import models as partners
from coordination.domain.people import models as people
from coordination.domain.people.corrections import models as corrections
from coordination.domain.people.year import models as year
from coordination.domain.practice import models as practice
from coordination.domain.practice.headcount import models as headcount
from coordination.domain.volunteering import models as volunteering
from coordination.ground import audit, throttle, ticks
from coordination.ground.orm import Base

metadata = Base.metadata
ALL = (
    agenda,
    audit,
    bookings,
    care,
    communication,
    consents,
    headcount,
    oversight,
    corrections,
    partners,
    people,
    practice,
    throttle,
    ticks,
    volunteering,
    year,
)
