"""What can be wrong, as the status of a network says it."""

from __future__ import annotations

import traceback
from pathlib import PurePath


class OperatorError(Exception):
    """Base of the operator's own errors; ``reason`` is the stable CamelCase word of conditions and Events."""

    reason = "Failed"


class InvalidSpec(OperatorError):
    """The stored spec does not fit this version's model."""

    reason = "InvalidSpec"


class NameTaken(OperatorError):
    """Somebody else's object has a name that we need."""

    reason = "NameTaken"


class Refused(OperatorError):
    """The API server refuses what we ask; ``status`` is HTTP's."""

    reason = "Refused"

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


class MissingSecret(OperatorError):
    """A Secret that the spec names is not there, or has no such key."""

    reason = "SecretMissing"


class CookieLost(OperatorError):
    """Members of a broker run with a cookie that nobody else has any more."""

    reason = "CookieLost"


class MissingCluster(OperatorError):
    """The RabbitmqCluster that the spec names is not there."""

    reason = "RabbitmqClusterMissing"


class KindMissing(OperatorError):
    """The spec needs a kind that this Kubernetes does not have."""

    reason = "KindMissing"


class CannotWatch(OperatorError):
    """What must be known of a network before anything of it is changed may not be seen."""

    reason = "CannotWatch"


class Waiting(OperatorError):
    """Something must be over before we can go on."""

    reason = "Waiting"


class StorageRefused(OperatorError):
    """A volume cannot become what the spec says."""

    reason = "StorageRefused"


class Unavailable(OperatorError):
    """The API server does not answer, or is busy: to be tried again."""

    reason = "Unavailable"


class InternalError(OperatorError):
    """A defect of the operator; what was raised is the cause.

    Who may see a status need not see what was raised: it may quote what was being read.
    """

    reason = "InternalError"

    def __init__(self, cause: Exception) -> None:
        place = traceback.extract_tb(cause.__traceback__)[-1:]
        where = f" at {PurePath(place[0].filename).name}:{place[0].lineno}" if place else ""
        super().__init__(f"{type(cause).__name__}{where}: a defect of the operator; its log has more")
        self.__cause__ = cause
