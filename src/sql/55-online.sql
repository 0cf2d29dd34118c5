-- Work that cannot run in a transaction: agreed first, then done by every region (docs/protocol.md, "Online entries").

CREATE TABLE schemadrift_store.task
(
	version bigint PRIMARY KEY,
	state text NOT NULL CHECK (state IN ('open', 'done', 'failed', 'undo', 'undone', 'applied', 'cancelled')),
	step integer NOT NULL DEFAULT 0,
	begun boolean NOT NULL,
	undo_step integer NOT NULL DEFAULT 0,
	attempts integer NOT NULL DEFAULT 0,
	since timestamptz NOT NULL DEFAULT clock_timestamp(),
	ended timestamptz,
	retry_at timestamptz,
	error text,
	relations jsonb NOT NULL
) WITH (fillfactor = 50);
CREATE INDEX task_open ON schemadrift_store.task (version) WHERE state NOT IN ('applied', 'cancelled');
COMMENT ON TABLE schemadrift_store.task IS 'this region''s share of each online entry that it has recorded';
COMMENT ON COLUMN schemadrift_store.task.state IS
	'open (to be done), done, failed (for good), undo (to be cleaned up), undone; with the result in the log: applied, cancelled';
COMMENT ON COLUMN schemadrift_store.task.step IS 'statements that are finished';
COMMENT ON COLUMN schemadrift_store.task.begun IS 'the next statement was begun: what it left behind is ours';
COMMENT ON COLUMN schemadrift_store.task.undo_step IS 'statements of the way back that are finished';
COMMENT ON COLUMN schemadrift_store.task.relations IS
	'tables and indexes it works on: their digests are kept as they were until its result is applied';

-- what a result says of its online entry: "ok", "failed", "cancelled"; an entry is one line, then its payload
CREATE FUNCTION schemadrift_store.result_outcome(body bytea) RETURNS text
	LANGUAGE sql IMMUTABLE PARALLEL SAFE SECURITY DEFINER
	RETURN pg_catalog.substr(pg_catalog.convert_from(body, 'UTF8'),
		pg_catalog.strpos(pg_catalog.convert_from(body, 'UTF8'), pg_catalog.chr(10)) + 1)::pg_catalog.jsonb ->> 'outcome';
COMMENT ON FUNCTION schemadrift_store.result_outcome(bytea) IS 'outcome that a result entry states';

-- A version is taken back by a revert or supersede, by a result that says it did not succeed, and by an online entry that
-- reverts it, unless that did not succeed in turn.
CREATE FUNCTION schemadrift_store.taken_back(version bigint) RETURNS bigint
	LANGUAGE sql STABLE SECURITY DEFINER
	RETURN (SELECT pg_catalog.min(t.version) FROM schemadrift_store.log t
		WHERE t.target = taken_back.version
			AND (t.kind IN ('revert', 'supersede')
				OR (t.kind = 'result' AND schemadrift_store.result_outcome(t.body) <> 'ok')
				OR (t.kind = 'online' AND NOT EXISTS (SELECT FROM schemadrift_store.log r
					WHERE r.target = t.version AND r.kind = 'result'
						AND schemadrift_store.result_outcome(r.body) <> 'ok'))));
COMMENT ON FUNCTION schemadrift_store.taken_back(bigint) IS 'the version that takes this one back; null: none';

CREATE PROCEDURE schemadrift.apply_online(name text, up text, down text DEFAULT NULL, options jsonb DEFAULT '{}')
	LANGUAGE c AS 'MODULE_PATHNAME', 'sd_apply_online';
COMMENT ON PROCEDURE schemadrift.apply_online(text, text, text, jsonb) IS
	'agrees on the text first, then every region runs it, each statement as a transaction of its own; returns when all have';

CREATE FUNCTION schemadrift_store.tasks(OUT version bigint, OUT region text, OUT own boolean, OUT state text,
	OUT done bigint, OUT total bigint, OUT what text)
	RETURNS SETOF record LANGUAGE c VOLATILE PARALLEL UNSAFE ROWS 5 AS 'MODULE_PATHNAME', 'sd_task_rows';
COMMENT ON FUNCTION schemadrift_store.tasks() IS 'how far each region is with the open online entries, as it told';

-- views call them with their reader's rights
REVOKE ALL ON FUNCTION schemadrift_store.result_outcome(bytea), schemadrift_store.taken_back(bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION schemadrift_store.result_outcome(bytea), schemadrift_store.taken_back(bigint)
	TO schemadrift_admin, schemadrift_migrator, schemadrift_monitor;
REVOKE ALL ON PROCEDURE schemadrift.apply_online(text, text, text, jsonb) FROM PUBLIC;
GRANT EXECUTE ON PROCEDURE schemadrift.apply_online(text, text, text, jsonb) TO schemadrift_migrator;
