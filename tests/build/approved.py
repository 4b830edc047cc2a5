"""Wordings that the gateway of templates has approved, as an administrator enters them."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from coordination.domain.communication.models import WordingApproval
from coordination.domain.people.models import Organisation
from coordination.reactions import catalogue


def approve(
    session: Session,
    ids: Mapping[tuple[str, str], str],
    public_url: str,
    *,
    state: str = "approved",
) -> None:
    """Enter these ids for the wordings as they read now."""
    site = catalogue.site_of(public_url)
    office = session.scalar(
        select(func.min(Organisation.id)).where(Organisation.kind == "district")
    )
    session.add_all(
        WordingApproval(
            org_id=office,
            key=key,
            language=language,
            template_id=number,
            state=state,
            version=catalogue.version_of(key, language, site),
        )
        for (key, language), number in ids.items()
    )
    session.flush()
