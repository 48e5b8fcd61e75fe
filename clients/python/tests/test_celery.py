"""With a real Celery, whose applications are written to a folder and imported as a worker imports them."""
import json
import os
import subprocess
import sys
import tempfile
import unittest

from tactus import Client

APP = '''
from datetime import timedelta
from celery import Celery, shared_task
from tactus.celery import schedule

app = Celery("shop")
app.conf.timezone = "Europe/Berlin"
print("printed while it is imported")

@schedule("30 9 * * mon-fri", tz="Asia/Tokyo", tags=["money"], kwargs={"to": "all"})
@app.task
def report(to): ...

@app.task(name="other.name", bind=True)
@schedule(timedelta(minutes=5), name="often")
@schedule("@daily", name="seldom", args=[1])
def bound(self, n=0): ...

@schedule(90)
@shared_task
def shared(): ...

elsewhere = Celery("elsewhere", set_as_current=False)

@schedule("@hourly")
@elsewhere.task(name="elsewhere.task", shared=False)
def of_another(): ...
'''


class CeleryTest(unittest.TestCase):
    def collect(self, text, *arguments):
        with tempfile.TemporaryDirectory() as folder:
            with open(os.path.join(folder, "shop.py"), "w") as f:
                f.write(text)
            environment = {**os.environ, "PYTHONPATH": os.pathsep.join([os.getcwd(), os.environ.get("PYTHONPATH", "")])}
            return subprocess.run(
                [sys.executable, "-B", "-m", "tactus.celery", *(arguments or ["shop:app"])], cwd=folder, env=environment,
                capture_output=True, text=True,
            )

    def test_collects(self):
        told = self.collect(APP)
        self.assertEqual(told.returncode, 0, told.stderr)
        schedules = json.loads(told.stdout)["schedules"]
        self.assertEqual(schedules, [
            {"name": "often", "interval_seconds": 300, "task_name": "other.name"},
            {"name": "seldom", "cron_expression": "@daily", "args": [1], "task_name": "other.name"},
            {
                "name": "shop.report", "tags": ["money"], "cron_expression": "30 9 * * mon-fri", "timezone": "Asia/Tokyo",
                "kwargs": {"to": "all"}, "task_name": "shop.report",
            },
            {"name": "shop.shared", "interval_seconds": 90, "task_name": "shop.shared"},
        ])
        self.assertIn("printed while", told.stderr)
        client = Client()
        for one in schedules:
            name = one.pop("name")
            self.assertEqual(client.put(name, **one)["task_name"], one["task_name"])

    def test_what_is_wrong_is_told(self):
        for text, words in (
            (APP + "\n@schedule('@daily')\ndef none(): ...\n", "shop.none has a schedule and is no task"),
            (APP + "\n@schedule('@daily')\n@schedule('@hourly')\n@app.task\ndef twice(): ...\n", "'shop.twice'"),
        ):
            told = self.collect(text)
            self.assertEqual((told.returncode, told.stdout), (2, ""), told)
            self.assertIn(words, told.stderr)
        self.assertEqual(self.collect(APP, "a", "b").returncode, 2)
        self.assertNotEqual(self.collect(APP, "none_such:app").returncode, 0)


if __name__ == "__main__":
    unittest.main()
