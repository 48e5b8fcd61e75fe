"""put_schedule and delete_schedule inside a transaction of one's own, by a cursor of any DB-API driver for PostgreSQL.

What is put commits together with the caller's rows, or not at all. A refusal is a tactus.Error and, as PostgreSQL has it, ends
the transaction; tactus.django and tactus.sqlalchemy put a savepoint around it, so that the transaction goes on.
"""
from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Unpack

from ._errors import Error, Fault, faults_of
from .types import ScheduleDefinition

PUT = "select tactus.put_schedule(%s::text)"
DELETE = "select tactus.delete_schedule(%s::text)"


def put_schedule(cursor: Any, name: str, /, **definition: Unpack[ScheduleDefinition]) -> str:
    """Creates the schedule of a name, or replaces its definition. Returns its id."""
    with refusals():
        cursor.execute(PUT, (document(name, definition),))
        return str(cursor.fetchone()[0])


def delete_schedule(cursor: Any, name: str, /) -> bool:
    """Deletes the schedule of a name, and says whether there was one."""
    with refusals():
        cursor.execute(DELETE, (name,))
        return bool(cursor.fetchone()[0])


def document(name: str, definition: Any) -> str:
    """A definition as put_schedule takes it."""
    return json.dumps({**definition, "name": name}, allow_nan=False)


@contextmanager
def refusals() -> Iterator[None]:
    """Raises a tactus.Error in place of a driver's that says that tactus refuses the definition."""
    try:
        yield
    except Exception as err:
        faults: list[Fault] = []
        for at in (err, err.__cause__, getattr(err, "orig", None)):  # Django's, and SQLAlchemy's, have the driver's
            detail = getattr(getattr(at, "diag", None), "message_detail", None)
            faults = faults or faults_of(detail, member=None)
        if not faults:
            raise
        raise Error(faults) from err
