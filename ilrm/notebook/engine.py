"""papermill's engine for notebooks of this project: encrypted connections, progress of the running cell."""

import sys
import time
from typing import Any

import zmq
from papermill.clientwrap import PapermillNotebookClient
from papermill.engines import NBClientEngine, NotebookExecutionManager, papermill_engines
from papermill.log import logger
from traitlets.config import Config

from ilrm.system.progress import DISPLAY, LOG, TERMINAL

ENGINE = "ilrm"
# format of papermill's bar; without a remaining time, since cells take unequal times
CELLS = "{n_fmt} of {total_fmt} cells, {elapsed}{postfix}"


def engine() -> str:
    """Register the engine with papermill; returns its name, for `--engine` and `execute_notebook`."""
    papermill_engines.register(ENGINE, _Engine)
    return ENGINE


class _Engine(NBClientEngine):
    """papermill's own engine with another client."""

    @classmethod
    def execute_managed_notebook(
        cls,
        nb_man: NotebookExecutionManager,
        kernel_name: str,
        start_timeout: int = 60,
        execution_timeout: int | None = None,
        input_path: str | None = None,
        **options: Any,
    ) -> None:
        """Execute the notebook of a manager."""
        # kernels warn if their connection is not encrypted
        encrypted = {"transport_encryption": "auto"} if zmq.has("curve") else {}
        _Client(
            nb_man,
            kernel_name=kernel_name,
            startup_timeout=start_timeout,
            timeout=execution_timeout,
            log=logger,
            config=Config(KernelManager=encrypted),
            **options,
        ).execute()


class _Client(PapermillNotebookClient):
    """Shows the progress bar of the running cell beside papermill's own bar, or in its log if it has none."""

    _line, _shown = "", 0.0  # newest line of progress, and the time at which a line was last shown

    def execute_cell(self, *arguments: Any, **options: Any) -> Any:
        """Execute a cell; called by papermill."""
        self._line, bar = "", self.nb_man.pbar
        if bar is not None:
            bar.bar_format = CELLS
            bar.set_postfix_str("")
        cell = super().execute_cell(*arguments, **options)
        if self._line:
            self._show()
        return cell

    def process_message(self, msg: dict[str, Any], *rest: Any, **options: Any) -> Any:
        """Take a message of the kernel into the notebook; called by nbclient."""
        output = super().process_message(msg, *rest, **options)
        if line := _progress(msg):
            self._line = line
            interval = TERMINAL if self.nb_man.pbar is not None and sys.stderr.isatty() else LOG
            if time.monotonic() - self._shown > interval:
                self._show()
        return output

    def _show(self) -> None:
        if self.nb_man.pbar is not None:
            self.nb_man.pbar.set_postfix_str(self._line)
        elif self.log_output:
            self.log.info(self._line)
        self._shown = time.monotonic()


def _progress(msg: dict[str, Any]) -> str:
    """The newest line of a progress display, if the message updates one; else ""."""
    content = msg["content"]
    name = (content.get("transient") or {}).get("display_id") or ""
    if msg["msg_type"] != "update_display_data" or not name.startswith(DISPLAY):
        return ""
    return str(content["data"]["text/plain"]).rpartition("\n")[2]
