from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Fault:
    """What is wrong with a request: where, and how to correct it."""

    code: str
    location: str
    message: str

    def __str__(self) -> str:
        return f"{self.location}: {self.message}" if self.location else self.message


class Error(Exception):
    """A request, or a call of a function of the database, that was refused. It has all faults."""

    def __init__(self, faults: list[Fault], status: int = 0, retry_after: float | None = None) -> None:
        self.faults = faults
        self.status = status  # of HTTP; 0 where the database refused
        self.retry_after = retry_after
        said = "; ".join(str(f) for f in faults) or f"the API answered {status}"
        super().__init__(said)

    def __reduce__(self) -> Any:  # Celery's results are pickled by some
        return type(self), (self.faults, self.status, self.retry_after)

    def has(self, code: str) -> bool:
        """Whether one of the faults has the code."""
        return any(f.code == code for f in self.faults)


class Unanswered(Exception):
    """No answer came: whether the request was carried out is not known."""


def faults_of(text: bytes | str | None, member: str | None = "errors") -> list[Fault]:
    """The faults of a problem document, or of the detail of an error of the database; none if it is something else."""
    try:
        told = json.loads(text or "")
        if member is not None:
            told = told[member]
        return [Fault(str(f["code"]), str(f["location"]), str(f["message"])) for f in told]
    except (ValueError, TypeError, KeyError):
        return []
