\echo Use "ALTER EXTENSION schemadrift UPDATE" to load this file. \quit

-- From 0.1 to 0.2.  The build puts a fragment of src/sql in the place of each "-- include" line; how to add to this:
-- docs/architecture.md, "Adding an SQL object".

-- Views whose rows got columns.  They are made anew, with what reads them.
DROP VIEW schemadrift.status, schemadrift.regions, schemadrift.migrations, schemadrift.migration_status,
	schemadrift.decisions;
DROP FUNCTION schemadrift_store.status(), schemadrift_store.regions(), schemadrift_store.progress(),
	schemadrift_store.decisions();

-- include 07-types.sql
-- include 21-rpc-2.sql
-- include 35-drift.sql
-- include 36-diff.sql
-- include 37-repair.sql
-- include 38-accept.sql
-- include 39-history.sql
-- include 41-members.sql
-- include 42-lease.sql
-- include 45-lost.sql
-- include 55-online.sql
-- include 60-views.sql
-- include 61-drift.sql
-- include 62-watch.sql
-- include 65-text.sql
-- include 70-matrix.sql
-- include 71-analyze.sql
-- include 72-preflight.sql
-- include 73-queries.sql
-- include 90-guards.sql
-- include 95-rights.sql

CREATE OR REPLACE VIEW schemadrift.policy AS
	SELECT key, value, since_version, set_by, pg_catalog.date_trunc('second', set_at) AS set_at, description FROM schemadrift_store.policy();

COMMENT ON FUNCTION schemadrift.apply(text, text, text, jsonb) IS
	'runs the text here and, when this transaction commits, in every region; returns its version; options: timeout, require, barrier, allow, freeze_time, as in {"timeout": "30s", "allow": ["rule"]}';
