"""With a real Django, a real database and a real API over the same database."""
import os
import unittest
from urllib.parse import parse_qs, urlsplit

import django
from django.conf import settings
from django.urls import path

at = urlsplit(os.environ["DATABASE_URL"])
settings.configure(
    DATABASES={"default": {
        "ENGINE": "django.db.backends.postgresql", "NAME": at.path[1:], "USER": at.username or "", "PASSWORD": at.password or "",
        "HOST": at.hostname or parse_qs(at.query)["host"][0], "PORT": at.port or parse_qs(at.query).get("port", [""])[0],
        "OPTIONS": {"options": "-c search_path=public"},
    }},
    INSTALLED_APPS=[
        "django.contrib.admin", "django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions",
        "django.contrib.messages", "tactus.django",
    ],
    MIDDLEWARE=[
        "django.contrib.sessions.middleware.SessionMiddleware", "django.contrib.auth.middleware.AuthenticationMiddleware",
        "django.contrib.messages.middleware.MessageMiddleware",
    ],
    TEMPLATES=[{
        "BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True, "OPTIONS": {"context_processors": [
            "django.template.context_processors.request", "django.contrib.auth.context_processors.auth",
            "django.contrib.messages.context_processors.messages",
        ]},
    }],
    ROOT_URLCONF=__name__, SECRET_KEY="of a test", ALLOWED_HOSTS=["*"], USE_TZ=True, TIME_ZONE="Asia/Tokyo", STATIC_URL="/static/",
    DEFAULT_AUTO_FIELD="django.db.models.AutoField", PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],
    TACTUS_URL=os.environ["TACTUS_URL"],
)
django.setup()

from django.contrib import admin  # noqa: E402
from django.contrib.auth.models import Group, Permission, User  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.db import transaction  # noqa: E402
from django.test import Client as Browser  # noqa: E402

from tactus import Client, Error  # noqa: E402
from tactus.django import delete_schedule, put_schedule  # noqa: E402

urlpatterns = [path("admin/", admin.site.urls)]
DAILY = {"cron_expression": "30 9 * * mon-fri", "task_name": "app.hello"}


class DjangoTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        call_command("migrate", verbosity=0)
        cls.client = Client(os.environ["TACTUS_URL"])

    def setUp(self):
        for schedule in list(self.client.schedules()):
            self.client.delete(schedule["id"])
        Group.objects.all().delete()
        User.objects.all().delete()

    def names(self):
        return sorted(s["name"] for s in self.client.schedules())

    def browser(self, *permissions):
        user = User.objects.create_user("reader", is_staff=True)
        user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
        browser = Browser()
        browser.force_login(user)
        return browser

    def test_migrations_are_those_of_the_models(self):
        call_command("makemigrations", "tactus", check=True, dry_run=True, verbosity=0)

    def test_commits_with_the_rows_or_not_at_all(self):
        with transaction.atomic():
            Group.objects.create(name="one")
            put_schedule("one", kwargs={"of": "é"}, **DAILY)
            self.assertEqual(self.names(), [])  # not before the commit
        self.assertEqual(self.names(), ["one"])
        with self.assertRaises(RuntimeError), transaction.atomic():
            Group.objects.create(name="two")
            put_schedule("two", **DAILY)
            raise RuntimeError
        self.assertEqual((self.names(), Group.objects.count()), (["one"], 1))
        put_schedule("alone", **DAILY)  # in autocommit
        self.assertEqual(self.names(), ["alone", "one"])
        self.assertTrue(delete_schedule("alone"))
        self.assertFalse(delete_schedule("alone"))

    def test_a_refusal_leaves_the_transaction(self):
        with transaction.atomic():
            Group.objects.create(name="one")
            with self.assertRaises(Error) as refused:
                put_schedule("one", priority=999, jitter_seconds=-1, **DAILY)
            self.assertEqual({f.location for f in refused.exception.faults}, {"/priority", "/jitter_seconds"})
        self.assertEqual((self.names(), Group.objects.count()), ([], 1))

    def test_admin_lists(self):
        made = self.client.put("<b>report", tags=["money"], **DAILY)
        for n in range(51):
            self.client.put(f"other-{n}", **DAILY)
        self.client.trigger(made["id"])
        browser = self.browser("view_schedule", "view_run")
        page = browser.get("/admin/tactus/schedule/", {"q": "report"}).content.decode()
        self.assertIn("&lt;b&gt;report", page)
        self.assertNotIn("<b>report", page)
        self.assertIn("30 9 * * 1-5", page)
        self.assertIn("money", page)
        self.assertIn(f'href="/admin/tactus/run/?schedule={made["id"]}"', page)
        first = browser.get("/admin/tactus/schedule/").content.decode()
        following = first[first.index("?page_token="):].split('"')[0].replace("&amp;", "&")
        second = browser.get("/admin/tactus/schedule/" + following).content.decode()
        self.assertEqual(first.count("other-") + second.count("other-"), 51)
        self.assertNotIn("page_token=", second)
        runs = browser.get("/admin/tactus/run/", {"schedule": made["id"]}).content.decode()
        self.assertIn("&lt;b&gt;report", runs)
        self.assertNotIn("other-", runs)
        self.assertIn("<option selected>failed", browser.get("/admin/tactus/run/", {"status": "failed"}).content.decode())
        self.assertIn("errornote", browser.get("/admin/tactus/run/", {"status": "none"}).content.decode())
        self.assertIn("/admin/tactus/schedule/", browser.get("/admin/").content.decode())

    def test_admin_is_for_those_who_may(self):
        browser = self.browser("view_run")
        self.assertEqual(browser.get("/admin/tactus/run/").status_code, 200)
        self.assertEqual(browser.get("/admin/tactus/schedule/").status_code, 403)
        self.assertEqual(Browser().get("/admin/tactus/run/").status_code, 302)
        for path in ("add/", "1/change/", "1/delete/"):
            self.assertEqual(browser.get("/admin/tactus/run/" + path).status_code, 404, path)

    def test_admin_without_an_api(self):
        settings.TACTUS_URL, kept = "http://127.0.0.1:1", settings.TACTUS_URL
        self.addCleanup(setattr, settings, "TACTUS_URL", kept)
        answer = self.browser("view_schedule").get("/admin/tactus/schedule/")
        self.assertEqual(answer.status_code, 200)
        self.assertIn("no connection", answer.content.decode())


if __name__ == "__main__":
    unittest.main()
