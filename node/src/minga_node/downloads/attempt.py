"""One attempt at a download, on a thread of its own: from what is here already into the library."""

from __future__ import annotations

import logging
from collections.abc import Callable

from minga_node import metrics, tracing
from minga_node.downloads.contents import copy_pieces
from minga_node.downloads.model import Cancelled, DownloadState, GaveUp, Here, no_room
from minga_node.downloads.task import Task
from minga_node.errors import MingaError, StorageFailed, StorageFull
from minga_node.fetching import PartialFile

log = logging.getLogger(__name__)


class DownloadAttempt:
    """Runs a task and does what is around it.

    Args:
        name: what the content is to be called here.
        trace: what asked for it, as a traceparent.
    """

    def __init__(self, node: Here, name: str, task: Task, trace: str) -> None:
        self._node, self._name, self.task, self._trace = node, name, task, trace

    def run(self, ended: Callable[[DownloadState, MingaError | None], None]) -> None:
        """Calls ``ended`` with the state and why it failed, within the span. The partial file is closed then;
        connections are only left when it is complete.
        """
        task = self.task
        attributes = {"minga.file.name": self._name, "minga.content.id": task.content_id}
        with tracing.span("download", attributes=attributes, parent=self._trace) as span:
            with metrics.ACTIVE_DOWNLOADS.track_inprogress():
                state, error = self._outcome()
            if state is not DownloadState.COMPLETE:
                # The next task may write to the same file.
                task.hang_up()
            if task.partial is not None:
                task.partial.close()
                if state is DownloadState.COMPLETE:
                    task.partial.forget_bitmap()
            size = task.manifest.size if task.manifest is not None else 0
            span.set({"minga.bytes": size, "minga.download.state": str(state)})
            if error is not None:
                span.fail(str(error))
            ended(state, error)

    def _outcome(self) -> tuple[DownloadState, MingaError | None]:
        node, task = self._node, self.task
        try:
            known = node.manifests.get(task.content_id)
            if known is None or not node.has(self._name, task.content_id):
                partial = self._copy_or_fetch()
                node.adopt(partial.path, self._name, partial.manifest)
            else:
                task.manifest = known
        except Cancelled:
            return DownloadState.CANCELLED, None
        except GaveUp:
            return DownloadState.WAITING, None
        except StorageFull:
            known = task.manifest
            return DownloadState.FAILED, no_room(node.name, node.capacity, known)
        except MingaError as problem:
            return DownloadState.FAILED, problem
        except OSError as problem:
            return DownloadState.FAILED, StorageFailed(f"{self._name}: {problem}")
        except Exception as problem:
            log.exception("the download of %s ended unexpectedly", self._name)
            return DownloadState.FAILED, MingaError(str(problem))
        return DownloadState.COMPLETE, None

    def _copy_or_fetch(self) -> PartialFile:
        """The same content may be here under another name: then nothing has to travel."""
        node, task = self._node, self.task
        task.opening = True
        content = node.library(task.content_id)
        manifest = node.manifests.get(task.content_id)
        if content is not None:
            try:
                if manifest is not None and manifest.size == content.size:
                    partial = PartialFile(node.directory, manifest, node.capacity)
                    try:
                        copy_pieces(content.fileno(), partial)
                    finally:
                        partial.close()
                    task.left = partial.left
            finally:
                content.close()
        task.opening = False
        return task.run()
