"""What users write: mypy finds nothing in it."""
from collections.abc import Callable
from typing import Any, TypeVar

from tactus import AsyncClient, Client, Error
from tactus.celery import schedule
from tactus.sql import put_schedule
from tactus.types import ScheduleDefinition

F = TypeVar("F", bound=Callable[..., Any])


@schedule("30 9 * * mon-fri", tz="Asia/Tokyo", tags=["money"])
def report() -> None:
    """A task."""


def use(client: Client, cursor: Any) -> str:
    try:
        made = client.put("one", cron_expression="30 9 * * mon-fri", task_name="app.report", tags=["money"])
    except Error as err:
        return err.faults[0].message
    for run in client.runs(schedule=made["id"]):
        if run["status"] == "failed":
            print(run["due_at"])
    definition: ScheduleDefinition = {"task_name": "app.report", "interval_seconds": 60}
    put_schedule(cursor, "two", **definition)
    return made["name"]


async def use_async(client: AsyncClient) -> int:
    page = await client.schedules_page(state="active")
    return len(page["schedules"])
