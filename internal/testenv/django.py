"""A Django project with django-celery-beat, as small as there is: it runs what it is given with the models at hand."""
import os
import sys

import django
from django.conf import settings

settings.configure(
    DATABASES={"default": {
        "ENGINE": "django.db.backends.postgresql", "HOST": os.environ["PGHOST"], "PORT": os.environ["PGPORT"],
        "NAME": os.environ["PGDATABASE"], "USER": os.environ["PGUSER"], "PASSWORD": os.environ["PGPASSWORD"],
        "OPTIONS": {"options": "-c search_path=public"},
    }},
    INSTALLED_APPS=["django_celery_beat"], USE_TZ=True, TIME_ZONE="UTC", DEFAULT_AUTO_FIELD="django.db.models.AutoField",
)
django.setup()

from datetime import datetime, timedelta, timezone  # noqa: E402, F401

from django.core.management import call_command  # noqa: E402, F401
from django.db import transaction  # noqa: E402, F401
from django_celery_beat.models import (  # noqa: E402, F401
    ClockedSchedule, CrontabSchedule, IntervalSchedule, PeriodicTask, PeriodicTasks, SolarSchedule,
)

exec(compile(sys.stdin.read(), "given", "exec"))
