"""What the admin lists. Nothing of it is in Django's database: the pages ask the API."""
from django.db import models


class Schedule(models.Model):
    class Meta:
        managed = False
        default_permissions = ("view",)


class Run(models.Model):
    class Meta:
        managed = False
        default_permissions = ("view",)
