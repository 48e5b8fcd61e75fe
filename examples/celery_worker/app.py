"""A Celery application as any other: nothing in it knows of tactus."""
import logging
import os

import celery

log = logging.getLogger(__name__)

app = celery.Celery("app", broker=os.environ["CELERY_BROKER_URL"], backend=os.environ.get("CELERY_RESULT_BACKEND"))
app.conf.update(
    worker_send_task_events=True,  # tactus shows who ran a task, and when
    task_track_started=True,
    task_acks_late=True,  # a task whose worker dies is given to another
    broker_connection_retry_on_startup=True,
)


@app.task(name="app.hello")
def hello(name="world"):
    log.info("hello, %s", name)
    return f"hello, {name}"


@app.task(name="fetch_listed_info_task", bind=True)
def fetch_listed_info(self, schedule_id=None, period_type="yesterday", from_date=None, to_date=None, **_):
    """Stands for a task that fetches data of a period; self.request tells which due time it runs for."""
    due_at = self.request.get("x-tactus-due-at")
    log.info("fetching %s (%s to %s) for schedule %s, due at %s", period_type, from_date, to_date, schedule_id, due_at)
    return {"period_type": period_type, "from_date": from_date, "to_date": to_date, "due_at": due_at}
