"""Schedules inside the transactions of Django's ORM, and pages of the admin that list schedules and runs.

    from tactus.django import put_schedule

    with transaction.atomic():
        order.save()
        put_schedule(f"order-{order.pk}", run_at=order.due.isoformat(), task_name="orders.remind", args=[order.pk])

The schedule commits together with the order, or neither does: there is nothing to do on commit. With "tactus.django" in
INSTALLED_APPS, and TACTUS_URL and TACTUS_TOKEN in the settings, the admin lists schedules and runs to whoever has the
permissions tactus.view_schedule and tactus.view_run.
"""
from __future__ import annotations

from typing import Unpack

from django.db import connections, transaction

from .. import sql
from ..types import ScheduleDefinition


def put_schedule(name: str, /, *, using: str = "default", **definition: Unpack[ScheduleDefinition]) -> str:
    """Creates the schedule of a name, or replaces its definition, and returns its id. using names the database, which is that
    of tactus. A refusal (tactus.Error) leaves the transaction as it was."""
    with transaction.atomic(using=using), connections[using].cursor() as cursor:
        return sql.put_schedule(cursor, name, **definition)


def delete_schedule(name: str, /, *, using: str = "default") -> bool:
    """Deletes the schedule of a name, and says whether there was one."""
    with transaction.atomic(using=using), connections[using].cursor() as cursor:
        return sql.delete_schedule(cursor, name)
