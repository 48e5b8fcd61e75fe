"""A client of tactus, of the standard library only.

    from tactus import Client

    client = Client("http://127.0.0.1:8000", token=...)  # or TACTUS_URL and TACTUS_TOKEN
    client.put("report of customer 17", cron_expression="30 9 * * mon-fri", task_name="reports.daily")

AsyncClient has the same methods as coroutines. tactus.sql has put_schedule for a DB-API connection, tactus.sqlalchemy for a
session, and tactus.django for Django's ORM, each inside the caller's transaction; tactus.celery has the decorator schedule.
"""
from ._client import AsyncClient, Client
from ._errors import Error, Fault, Unanswered

__all__ = ["AsyncClient", "Client", "Error", "Fault", "Unanswered"]
