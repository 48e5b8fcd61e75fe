"""A worker that finds its broker and its result backend by Sentinel."""
import os

import celery

broker = os.environ["CELERY_BROKER_URL"]
options = {"master_name": "main", "sentinel_kwargs": {"password": "PASSWORD"}, "socket_timeout": 5}
app = celery.Celery("app", broker=broker, backend=broker)
app.conf.update(
    broker_transport_options=options,
    result_backend_transport_options=options,
    worker_prefetch_multiplier=1,
    broker_connection_retry=True,
    broker_connection_max_retries=None,
)


@app.task(name="app.note", bind=True)
def note(self):
    with open("NOTES", "a") as notes:
        notes.write(self.request.id + "\n")
