"""The connection's side of the third tenant wall: `pushpilot.workspace` is always the active scope.

The policies of tenants.rowsecurity read that setting. It is written before a statement, and only
when it differs from the last one written: a page of the console pays for four SETs, a worker's
slice for two per run.

Poolers that give a session to somebody else between transactions (pgbouncer's
pool_mode=transaction) break this.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from django.db.backends.base.base import NO_DB_ALIAS
from django.db.backends.postgresql import base
from django_scopes import get_scope
from psycopg.pq import TransactionStatus

from tenants.rowsecurity import NOT_HELD

__all__ = ["DatabaseWrapper"]

logger = logging.getLogger(__name__)


def scope_key() -> str:
    """The active scope as the policies read it: a workspace's id, "*" for every workspace, ""
    outside of any."""
    active = get_scope()
    if not active.get("_enabled", True):
        return "*"
    workspace = active.get("workspace")
    if workspace is None:
        return ""
    return f"{int(workspace.pk)}"


class DatabaseWrapper(base.DatabaseWrapper):
    _has_looked = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._carried: str | None = None  # None: unknown
        self.execute_wrappers.append(self._execute_in_scope)

    def _execute_in_scope(
        self, execute: Callable[..., Any], sql: Any, params: Any, many: bool, context: Any
    ) -> Any:
        """Again at each statement: a cursor can outlive the scope that it was made in."""
        self.carry_scope()
        return execute(sql, params, many, context)

    def create_cursor(self, name: str | None = None) -> Any:
        """COPY and procedures pass no execute wrapper: they run in the scope that their cursor
        was made in."""
        self.carry_scope()
        return super().create_cursor(name)

    def carry_scope(self) -> None:
        wanted = scope_key()
        # In a failed transaction only its rollback can run, which makes us forget.
        if wanted == self._carried or self._has_failed():
            return
        with self.wrap_database_errors, self.connection.cursor() as cursor:
            # SET and not set_config(): a SELECT would come too late before SET TRANSACTION
            # ISOLATION LEVEL.
            cursor.execute(f"SET pushpilot.workspace = '{wanted}'")
        self._carried = wanted

    def _has_failed(self) -> bool:
        status: TransactionStatus = self.connection.info.transaction_status
        return status == TransactionStatus.INERROR

    # A SET is undone with the transaction or savepoint that it stands in.
    def init_connection_state(self) -> None:
        self._carried = None
        super().init_connection_state()
        self._warn_once()

    def _rollback(self) -> None:
        self._carried = None
        super()._rollback()  # type: ignore[misc]

    def _savepoint_rollback(self, sid: str) -> None:
        super()._savepoint_rollback(sid)  # type: ignore[misc]
        self._carried = None

    def _commit(self) -> None:
        """PostgreSQL answers the COMMIT of a failed transaction by rolling back."""
        if self.connection is not None and self._has_failed():
            self._carried = None
        super()._commit()  # type: ignore[misc]

    def _warn_once(self) -> None:
        """System checks reach no web server: say in its log, too, that the wall does not stand."""
        if DatabaseWrapper._has_looked or self.alias == NO_DB_ALIAS:
            return
        DatabaseWrapper._has_looked = True
        with self.wrap_database_errors, self.connection.cursor() as cursor:
            cursor.execute("SELECT row_security_active(to_regclass('tenants_membership'))")
            if cursor.fetchone()[0] is False:  # None: not migrated yet
                logger.warning(NOT_HELD)
