"""The job queue's own schema, as Procrastinate ships it."""

from __future__ import annotations

from alembic import op

from notifications.jobs import procrastinate_schema_sql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_DROP = """
do $$
declare found record;
begin
  for found in select tablename from pg_tables
    where schemaname = current_schema() and tablename like 'procrastinate\\_%'
  loop execute format('drop table if exists %I cascade', found.tablename); end loop;
  for found in select p.oid::regprocedure as signature from pg_proc p
    join pg_namespace n on n.oid = p.pronamespace
    where n.nspname = current_schema() and p.proname like 'procrastinate\\_%'
  loop execute format('drop function if exists %s cascade', found.signature); end loop;
  for found in select t.typname from pg_type t join pg_namespace n on n.oid = t.typnamespace
    where n.nspname = current_schema() and t.typname like 'procrastinate\\_%'
      and t.typtype in ('e', 'c') and t.typrelid = 0
  loop execute format('drop type if exists %I cascade', found.typname); end loop;
  for found in select c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where n.nspname = current_schema() and c.relkind = 'c' and c.relname like 'procrastinate\\_%'
  loop execute format('drop type if exists %I cascade', found.relname); end loop;
end $$;
"""


def upgrade() -> None:
    _run(procrastinate_schema_sql())


def downgrade() -> None:
    _run(_DROP)


def _run(script: str) -> None:
    # many statements with percent signs of their own: straight to the driver, without parameters
    driver = op.get_bind().connection.driver_connection
    with driver.cursor() as cursor:
        cursor.execute(script)
