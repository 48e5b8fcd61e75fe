"""put_schedule and delete_schedule inside the transaction of a Session or a Connection of SQLAlchemy."""
from __future__ import annotations

from typing import Any, Unpack

from sqlalchemy import text

from .sql import document, refusals
from .types import ScheduleDefinition

PUT = text("select tactus.put_schedule(cast(:given as text))")
DELETE = text("select tactus.delete_schedule(cast(:given as text))")


def put_schedule(session: Any, name: str, /, **definition: Unpack[ScheduleDefinition]) -> str:
    """Creates the schedule of a name, or replaces its definition, and returns its id. It commits with the session, or not at
    all; a refusal (tactus.Error) leaves the session's transaction as it was."""
    return str(_call(session, PUT, document(name, definition)))


def delete_schedule(session: Any, name: str, /) -> bool:
    """Deletes the schedule of a name, and says whether there was one."""
    return bool(_call(session, DELETE, name))


def _call(session: Any, statement: Any, given: str) -> Any:
    with refusals(), session.begin_nested():
        return session.execute(statement, {"given": given}).scalar_one()
