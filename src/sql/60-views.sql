-- How this region and its group are.  None of these views shows a migration's text or a conninfo.
--
-- The functions behind them get new columns at their end only: a newer library serves older SQL objects by that.

CREATE FUNCTION schemadrift_store.status(OUT region text, OUT state text, OUT version bigint, OUT head bigint, OUT mode text,
	OUT blocked_by text, OUT reason text, OUT remedy text, OUT lease text)
	RETURNS SETOF record LANGUAGE c VOLATILE PARALLEL UNSAFE ROWS 1 AS 'MODULE_PATHNAME', 'sd_status_rows';
COMMENT ON FUNCTION schemadrift_store.status() IS 'row of view schemadrift.status';

CREATE FUNCTION schemadrift_store.regions(OUT region text, OUT role text, OUT incarnation integer, OUT state text,
	OUT applied_version bigint, OUT last_heard timestamptz, OUT rtt_ms double precision, OUT circuit text, OUT error text,
	OUT priority integer, OUT suspended boolean, OUT reason text, OUT protocol integer,
	OUT vector text, OUT relation text, OUT in_sync boolean, OUT verified_at timestamptz, OUT clock_offset_ms double precision,
	OUT clock_error_ms double precision, OUT replication_lag interval, OUT confidence double precision,
	OUT suspicion double precision, OUT rtt_min_ms double precision, OUT drifted bigint, OUT outside bigint,
	OUT replication_lag_bytes bigint)
	RETURNS SETOF record LANGUAGE c VOLATILE PARALLEL UNSAFE ROWS 5 AS 'MODULE_PATHNAME', 'sd_region_rows';
COMMENT ON FUNCTION schemadrift_store.regions() IS 'rows of view schemadrift.regions';

CREATE FUNCTION schemadrift_store.progress(OUT region text, OUT own boolean, OUT applied bigint, OUT halted_at bigint,
	OUT attempts integer, OUT error text, OUT applying bigint, OUT applying_since timestamptz,
	OUT held boolean)
	RETURNS SETOF record LANGUAGE c VOLATILE PARALLEL UNSAFE ROWS 5 AS 'MODULE_PATHNAME', 'sd_progress_rows';
COMMENT ON FUNCTION schemadrift_store.progress() IS 'how far each region has applied the log, as this region knows it';

CREATE FUNCTION schemadrift_store.decisions(OUT at timestamptz, OUT hlc bigint, OUT kind text, OUT subject text,
	OUT outcome text, OUT votes text, OUT reason text)
	RETURNS SETOF record LANGUAGE c VOLATILE PARALLEL UNSAFE ROWS 100 AS 'MODULE_PATHNAME', 'sd_decision_rows';
COMMENT ON FUNCTION schemadrift_store.decisions() IS 'rows of view schemadrift.decisions';

CREATE VIEW schemadrift.status AS
	SELECT region, state, version, head, mode, lease, blocked_by, reason, remedy FROM schemadrift_store.status();
COMMENT ON VIEW schemadrift.status IS 'this region: how it is, what is wrong, what to type';
COMMENT ON COLUMN schemadrift.status.region IS 'name of this region; null: in no group';
COMMENT ON COLUMN schemadrift.status.state IS 'not_joined, healthy, degraded, no_quorum, halted or void';
COMMENT ON COLUMN schemadrift.status.version IS 'version of the log that this region''s schema has followed to';
COMMENT ON COLUMN schemadrift.status.head IS 'newest version in this region''s log';
COMMENT ON COLUMN schemadrift.status.mode IS 'what the group''s policy does with plain DDL: observe, coordinate, require_apply';
COMMENT ON COLUMN schemadrift.status.lease IS 'region that leads; null: nobody just now; see view lease';
COMMENT ON COLUMN schemadrift.status.blocked_by IS 'who changes the schema just now, here, or elsewhere while a change here waits for it';
COMMENT ON COLUMN schemadrift.status.reason IS 'what is wrong, in words';
COMMENT ON COLUMN schemadrift.status.remedy IS 'what to do or type';

CREATE VIEW schemadrift.regions AS
	SELECT region, role, state, applied_version, relation, in_sync,
		pg_catalog.round(confidence::numeric, 2)::double precision AS confidence, last_heard::timestamptz(3) AS last_heard,
		pg_catalog.round(rtt_ms::numeric, 2)::double precision AS rtt_ms, circuit, error,
		pg_catalog.round(clock_offset_ms::numeric, 2)::double precision AS clock_offset_ms,
		pg_catalog.round(clock_error_ms::numeric, 2)::double precision AS clock_error_ms,
		pg_catalog.date_trunc('milliseconds', replication_lag) AS replication_lag, verified_at::timestamptz(0) AS verified_at, vector::schemadrift.version_vector AS vector,
		incarnation, priority, suspended, reason, protocol
	FROM schemadrift_store.regions();
COMMENT ON VIEW schemadrift.regions IS 'the regions of the group, as this one knows them';
COMMENT ON COLUMN schemadrift.regions.region IS 'name of the region';
COMMENT ON COLUMN schemadrift.regions.role IS 'voter, observer or witness';
COMMENT ON COLUMN schemadrift.regions.relation IS
	'its version vector compared with ours: equal, behind (it contains less), ahead, concurrent (each contains something that the other does not), unknown (a vector is too long to be told); null: not known';
COMMENT ON COLUMN schemadrift.regions.in_sync IS
	'true: at the newest version known here, no object is otherwise than the log says, and the log means the same there as here; null: not known now';
COMMENT ON COLUMN schemadrift.regions.confidence IS
	'0 to 1: how far this row can be relied on (alive, verified, at the newest version); for dashboards, see docs/monitoring';
COMMENT ON COLUMN schemadrift.regions.clock_offset_ms IS 'its clock minus ours; null: not measured, or this region';
COMMENT ON COLUMN schemadrift.regions.clock_error_ms IS 'by so much to either side the offset may be wrong, at most';
COMMENT ON COLUMN schemadrift.regions.replication_lag IS
	'the largest lag of its replication, of standbys and subscribers; null: nothing is replicated there, or not known';
COMMENT ON COLUMN schemadrift.regions.verified_at IS
	'when it last compared its whole schema with its digests, by its clock; null: not since its server''s start';
COMMENT ON COLUMN schemadrift.regions.vector IS
	'version vector: how many schema events of each origin its schema contains; null: not known, no schema, or longer than what is told';
COMMENT ON COLUMN schemadrift.regions.incarnation IS 'which uninterrupted life of the region this is, from 1';
COMMENT ON COLUMN schemadrift.regions.state IS 'what it says of itself, as in view status; unreachable: not heard of lately';
COMMENT ON COLUMN schemadrift.regions.applied_version IS 'version that its schema has followed the log to';
COMMENT ON COLUMN schemadrift.regions.last_heard IS 'when it last told how far it is';
COMMENT ON COLUMN schemadrift.regions.rtt_ms IS 'round-trip time of our calls to it, smoothed';
COMMENT ON COLUMN schemadrift.regions.circuit IS 'our connection to it: closed (works), half_open (being tried), open (waits before the next try)';
COMMENT ON COLUMN schemadrift.regions.error IS 'why our calls fail, or why it is halted';
COMMENT ON COLUMN schemadrift.regions.priority IS 'the higher, the rather it leads, where the policy says so';
COMMENT ON COLUMN schemadrift.regions.suspended IS 'true: nobody waits for it, and its own schema changes are refused';
COMMENT ON COLUMN schemadrift.regions.reason IS 'why it is suspended, by whom and since when; or why it does not vote (yet)';
COMMENT ON COLUMN schemadrift.regions.protocol IS 'protocol that its library and SQL objects speak, as it told; smaller than elsewhere: to be upgraded; null: not heard of since the start';

CREATE VIEW schemadrift.migrations AS
	SELECT l.version, l.name, l.kind,
		CASE WHEN e.state = 'skipped' THEN 'skipped'
			WHEN l.kind = 'online' AND r.outcome <> 'ok' THEN 'failed'
			WHEN t.version <= a.version THEN 'reverted'
			WHEN l.kind = 'online' AND l.version <= a.version AND (r.version IS NULL OR r.version > a.version) THEN 'applying'
			WHEN l.version <= a.version THEN 'applied'
			WHEN l.version = p.halted_at AND p.held THEN 'held'
			WHEN l.version = p.halted_at THEN 'failed'
			ELSE 'chosen' END AS state,
		l.author, l.origin, pg_catalog.to_timestamp((l.hlc >> 16) / 1000.0)::timestamptz(0) AS at, l.entry_id
	FROM schemadrift_store.log l
		CROSS JOIN schemadrift_store.applied a
		LEFT JOIN schemadrift_store.execution e ON e.version = l.version
		LEFT JOIN LATERAL (SELECT schemadrift_store.taken_back(l.version) AS version) t ON true
		LEFT JOIN LATERAL (SELECT b.version, schemadrift_store.result_outcome(b.body) AS outcome FROM schemadrift_store.log b
			WHERE l.kind = 'online' AND b.target = l.version AND b.kind = 'result' ORDER BY b.version LIMIT 1) r ON true
		LEFT JOIN schemadrift_store.progress() p ON p.own
	ORDER BY l.version;
COMMENT ON VIEW schemadrift.migrations IS 'the log, a row a version, and what became of it in this region';
COMMENT ON COLUMN schemadrift.migrations.version IS 'position in the log';
COMMENT ON COLUMN schemadrift.migrations.name IS 'the migration''s name; of a revert or supersede: that of what it takes back';
COMMENT ON COLUMN schemadrift.migrations.kind IS 'baseline, migration, online, result (of an online one), revert, supersede, config, policy, query or noop';
COMMENT ON COLUMN schemadrift.migrations.state IS
	'here: chosen (not applied yet), held (by this region''s schemadrift.allowed_roles), applying (online: being worked on), failed, applied, skipped, reverted (taken back by a later version)';
COMMENT ON COLUMN schemadrift.migrations.author IS 'session user who made it';
COMMENT ON COLUMN schemadrift.migrations.origin IS 'region in which it was made';
COMMENT ON COLUMN schemadrift.migrations.at IS 'when it was made, by the group''s hybrid clock';
COMMENT ON COLUMN schemadrift.migrations.entry_id IS 'id, for outcome()';

CREATE VIEW schemadrift.migration_status AS
	SELECT l.version, l.name, p.region,
		CASE WHEN r.outcome <> 'ok' THEN 'failed'
			WHEN l.kind = 'online' AND l.version <= p.applied AND (r.version IS NULL OR r.version > p.applied) THEN
				CASE w.state WHEN 'done' THEN 'applied' WHEN 'failed' THEN 'failed' ELSE 'applying' END
			WHEN p.own AND e.state IS NOT NULL THEN e.state
			WHEN l.version <= p.applied THEN 'applied'
			WHEN l.version = p.applying THEN 'applying'
			WHEN l.version = p.halted_at AND p.held THEN 'held'
			WHEN l.version = p.halted_at THEN 'failed'
			ELSE 'pending' END AS state,
		CASE WHEN p.own AND l.version <= p.applied THEN e.attempts
			WHEN l.version = p.applied + 1 THEN p.attempts END AS attempts,
		CASE WHEN p.own AND l.version <= p.applied THEN e.at
			WHEN l.version = p.applying THEN p.applying_since END::timestamptz(0) AS started,
		CASE WHEN p.own THEN pg_catalog.round(e.duration_ms::numeric, 1)::double precision END AS duration_ms,
		CASE WHEN l.version = p.applied + 1 THEN p.error
			WHEN w.total IS NULL AND w.state IN ('open', 'failed', 'undo') THEN w.what END AS error,
		CASE WHEN l.version = p.halted_at AND l.version > p.applied THEN
			pg_catalog.format(CASE WHEN p.held THEN 'in %1$s: add the role to schemadrift.allowed_roles by ALTER SYSTEM, SELECT pg_reload_conf(); then SELECT schemadrift.retry(%2$L); or, if it was given a down, anywhere: SELECT schemadrift.revert(%2$L)'
				ELSE 'in %1$s: mend the cause, then SELECT schemadrift.retry(%2$L); or do it there by hand, with schemadrift.ddl_mode = off, then SELECT schemadrift.mark_applied(%2$L, ''why''); or, if it was given a down, anywhere: SELECT schemadrift.revert(%2$L)' END,
				p.region, l.name) END AS remedy
	FROM schemadrift_store.log l
		CROSS JOIN schemadrift_store.progress() p
		LEFT JOIN schemadrift_store.execution e ON e.version = l.version
		LEFT JOIN schemadrift_store.tasks() w ON w.version = l.version AND w.region = p.region
		LEFT JOIN LATERAL (SELECT b.version, schemadrift_store.result_outcome(b.body) AS outcome FROM schemadrift_store.log b
			WHERE l.kind = 'online' AND b.target = l.version AND b.kind = 'result' ORDER BY b.version LIMIT 1) r ON true
	ORDER BY l.version, p.region;
COMMENT ON VIEW schemadrift.migration_status IS 'each version in each region, as this region knows it';
COMMENT ON COLUMN schemadrift.migration_status.version IS 'position in the log';
COMMENT ON COLUMN schemadrift.migration_status.name IS 'the migration''s name';
COMMENT ON COLUMN schemadrift.migration_status.region IS 'name of the region';
COMMENT ON COLUMN schemadrift.migration_status.state IS
	'pending, held (by the region''s schemadrift.allowed_roles), applying, applied, skipped or failed; skipped is known of this region only; of an online version: what that region told of its work';
COMMENT ON COLUMN schemadrift.migration_status.attempts IS 'how often it was tried; of the next version: how often it failed';
COMMENT ON COLUMN schemadrift.migration_status.started IS 'when the last attempt began; known of this region only';
COMMENT ON COLUMN schemadrift.migration_status.duration_ms IS 'how long it took; known of this region only';
COMMENT ON COLUMN schemadrift.migration_status.error IS 'why the last attempt failed';
COMMENT ON COLUMN schemadrift.migration_status.remedy IS 'what to do or type, and where';

CREATE VIEW schemadrift.tasks AS
	SELECT t.version, l.name AS what, t.region,
		CASE WHEN t.state IN ('open', 'undo') AND t.total IS NOT NULL THEN t.what END AS phase,
		t.state, t.done, t.total,
		CASE WHEN t.total > 0 THEN pg_catalog.round(100.0 * t.done / t.total, 1)::double precision END AS percent,
		CASE WHEN t.own AND t.done > 0 AND t.total >= t.done AND b.since IS NOT NULL THEN
			(pg_catalog.clock_timestamp() + (pg_catalog.clock_timestamp() - b.since) * ((t.total - t.done)::double precision / t.done))
			::timestamptz(0) END AS eta,
		CASE WHEN t.total IS NULL THEN t.what END AS error
	FROM schemadrift_store.tasks() t
		JOIN schemadrift_store.log l ON l.version = t.version
		LEFT JOIN LATERAL (SELECT pg_catalog.min(a.query_start) AS since FROM pg_catalog.pg_stat_activity a
			WHERE t.own AND a.datname = pg_catalog.current_database() AND a.backend_type = 'schemadrift task') b ON true
	ORDER BY t.version, t.region;
COMMENT ON VIEW schemadrift.tasks IS 'online versions that are under way: how far each region is, as it told';
COMMENT ON COLUMN schemadrift.tasks.version IS 'version of the log that recorded the intent';
COMMENT ON COLUMN schemadrift.tasks.what IS 'name of the migration';
COMMENT ON COLUMN schemadrift.tasks.region IS 'where';
COMMENT ON COLUMN schemadrift.tasks.phase IS 'of a build that runs: what it does, as in pg_stat_progress_create_index';
COMMENT ON COLUMN schemadrift.tasks.state IS
	'pending (not recorded there yet), open (to be done), done, failed (for good), undo (being cleaned up), undone';
COMMENT ON COLUMN schemadrift.tasks.done IS 'blocks or tuples of that phase that are done';
COMMENT ON COLUMN schemadrift.tasks.total IS 'of so many';
COMMENT ON COLUMN schemadrift.tasks.percent IS 'the same in percent of the phase';
COMMENT ON COLUMN schemadrift.tasks.eta IS 'when that phase ends, if it goes on as since the statement began; known of this region only';
COMMENT ON COLUMN schemadrift.tasks.error IS 'why the last attempt failed, with its SQLSTATE';

CREATE VIEW schemadrift.decisions AS
	SELECT at::timestamptz(3) AS at, hlc, kind, subject, outcome, votes, reason FROM schemadrift_store.decisions();
COMMENT ON VIEW schemadrift.decisions IS 'the newest decisions of this region since its server''s start, oldest first';
COMMENT ON COLUMN schemadrift.decisions.at IS 'when, by this server''s clock';
COMMENT ON COLUMN schemadrift.decisions.hlc IS 'when, by the group''s hybrid clock';
COMMENT ON COLUMN schemadrift.decisions.kind IS 'grant, refusal, change, preemption, settlement, exception, bypass, would-have ...';
COMMENT ON COLUMN schemadrift.decisions.subject IS 'migration or command that it was about';
COMMENT ON COLUMN schemadrift.decisions.outcome IS 'what was decided';
COMMENT ON COLUMN schemadrift.decisions.votes IS 'who answered what';
COMMENT ON COLUMN schemadrift.decisions.reason IS 'why, in words';

GRANT SELECT ON schemadrift.status, schemadrift.regions, schemadrift.migrations, schemadrift.migration_status,
	schemadrift.tasks, schemadrift.decisions TO schemadrift_admin, schemadrift_migrator, schemadrift_monitor;
GRANT EXECUTE ON FUNCTION schemadrift_store.status(), schemadrift_store.regions(), schemadrift_store.progress(),
	schemadrift_store.tasks(), schemadrift_store.decisions() TO schemadrift_admin, schemadrift_migrator, schemadrift_monitor;
