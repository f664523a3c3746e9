"""Logs: one JSON object per line on standard error, without audio, names, tokens or identifiers of people."""

from __future__ import annotations

import logging
import sys
from typing import cast

import structlog
from structlog.typing import FilteringBoundLogger


def configure(*, process: str, level: str = "INFO") -> None:
    """Send this process's events to standard error; call once, at the entry point.

    `process` names the emitter in each line. Context bound by `structlog.contextvars` (request and trace ids) is
    part of every line. Libraries' own warnings go the same way.
    """
    number = logging.getLevelNamesMapping()[level.upper()]
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.EventRenamer("event"),
    ]
    structlog.configure(
        processors=[*shared, structlog.processors.dict_tracebacks, structlog.processors.JSONRenderer()],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
    structlog.contextvars.bind_contextvars(process=process)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(processor=structlog.processors.JSONRenderer(), foreign_pre_chain=shared)
    )
    logging.basicConfig(level=max(number, logging.WARNING), handlers=[handler], force=True)


def get_logger() -> FilteringBoundLogger:
    """The logger of a module: `log.info("event-name", key=value)`."""
    return cast(FilteringBoundLogger, structlog.get_logger())
