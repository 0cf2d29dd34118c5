\echo Use "CREATE EXTENSION schemadrift" to load this file. \quit

CREATE SCHEMA schemadrift_store;
CREATE SCHEMA schemadrift_rpc;
COMMENT ON SCHEMA schemadrift IS 'schemadrift: what people call and look at';
COMMENT ON SCHEMA schemadrift_store IS 'schemadrift: the log and the state of this region; written by the extension only';
COMMENT ON SCHEMA schemadrift_rpc IS 'schemadrift: calls between regions';
-- Roles: made if absent, without members, and kept on DROP EXTENSION (other databases of the server may use
-- them).  They are roles of the whole server, so each server of a group has its own.

DO $$
DECLARE
	r text;
BEGIN
	FOREACH r IN ARRAY ARRAY['schemadrift_admin', 'schemadrift_migrator', 'schemadrift_monitor', 'schemadrift_peer']
	LOOP
		BEGIN
			IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = r) THEN
				EXECUTE pg_catalog.format('CREATE ROLE %I NOLOGIN', r);
			END IF;
		EXCEPTION
			-- CREATE EXTENSION in another database at the same moment
			WHEN duplicate_object OR unique_violation THEN NULL;
		END;
	END LOOP;

	IF NOT pg_catalog.pg_has_role('pg_monitor', 'schemadrift_monitor', 'MEMBER') THEN
		GRANT schemadrift_monitor TO pg_monitor;
	END IF;
END
$$;

COMMENT ON ROLE schemadrift_admin IS
	'schemadrift: membership and policy of the group, break-glass; makes this server connect where it says: grant it like superuser';
COMMENT ON ROLE schemadrift_migrator IS 'schemadrift: apply, revert, retry';
COMMENT ON ROLE schemadrift_monitor IS 'schemadrift: the views, without migration texts and addresses';
COMMENT ON ROLE schemadrift_peer IS 'schemadrift: the calls of other regions; for the roles they log in as';

-- What is in here is opened to these roles function by function and view by view, and to nobody else.
GRANT USAGE ON SCHEMA schemadrift TO PUBLIC;
GRANT USAGE ON SCHEMA schemadrift_rpc TO schemadrift_peer;
-- The state of this region.  Ordinary, logged tables, each with a primary key, no foreign keys, nothing
-- deferrable; contents are not dumped.  Written by the extension's C code only (src/store).

CREATE FUNCTION schemadrift_store.guard_row() RETURNS trigger
	LANGUAGE c AS 'MODULE_PATHNAME', 'sd_guard_row';
COMMENT ON FUNCTION schemadrift_store.guard_row() IS
	'discards row changes that come by data replication: they would overwrite promises';

CREATE FUNCTION schemadrift_store.guard_truncate() RETURNS trigger
	LANGUAGE c AS 'MODULE_PATHNAME', 'sd_guard_truncate';
COMMENT ON FUNCTION schemadrift_store.guard_truncate() IS 'refuses TRUNCATE of the extension''s state';

CREATE TABLE schemadrift_store.self
(
	one boolean PRIMARY KEY DEFAULT true CHECK (one),
	group_id uuid NOT NULL,
	generation integer NOT NULL,
	region text NOT NULL,
	incarnation integer NOT NULL,
	system_identifier bigint NOT NULL,
	timeline integer NOT NULL,
	database oid NOT NULL,
	vote_seq bigint NOT NULL,
	state text NOT NULL CHECK (state IN ('voter', 'observer', 'witness', 'void'))
) WITH (fillfactor = 50);
COMMENT ON TABLE schemadrift_store.self IS 'who this region is; empty before init or join';

CREATE TABLE schemadrift_store.acceptor
(
	one boolean PRIMARY KEY DEFAULT true CHECK (one),
	round bigint NOT NULL,
	region text NOT NULL,
	nonce bigint NOT NULL
) WITH (fillfactor = 50);
COMMENT ON TABLE schemadrift_store.acceptor IS 'the highest ballot promised, for the whole log';

CREATE TABLE schemadrift_store.accepted
(
	version bigint PRIMARY KEY,
	round bigint NOT NULL,
	region text NOT NULL,
	nonce bigint NOT NULL,
	entry_id uuid NOT NULL,
	body bytea NOT NULL,
	hash bytea NOT NULL
) WITH (fillfactor = 50);
COMMENT ON TABLE schemadrift_store.accepted IS 'entries this region voted for';

CREATE TABLE schemadrift_store.log
(
	version bigint PRIMARY KEY,
	entry_id uuid NOT NULL,
	kind text NOT NULL,
	name text,
	origin text NOT NULL,
	incarnation integer NOT NULL,
	n bigint NOT NULL,
	barrier bigint NOT NULL,
	hlc bigint NOT NULL,
	author text NOT NULL,
	protocol integer NOT NULL,
	target bigint,
	body bytea,
	hash bytea NOT NULL,
	chain bytea NOT NULL
);
-- not unique: a constraint error while learning would stop every region at once
CREATE INDEX log_entry_id ON schemadrift_store.log (entry_id);
CREATE INDEX log_name ON schemadrift_store.log (name);
CREATE INDEX log_kind ON schemadrift_store.log (kind, version);
CREATE INDEX log_dot ON schemadrift_store.log (origin, incarnation, n);
CREATE INDEX log_target ON schemadrift_store.log (target) WHERE target IS NOT NULL;
COMMENT ON TABLE schemadrift_store.log IS 'chosen entries, gapless; rows never change';
COMMENT ON COLUMN schemadrift_store.log.n IS 'the entry is the n-th schema event of (origin, incarnation)';
COMMENT ON COLUMN schemadrift_store.log.target IS 'the version that a revert or supersede takes back';
COMMENT ON COLUMN schemadrift_store.log.chain IS 'SHA-256 over the previous chain and the entry''s hash';

CREATE TABLE schemadrift_store.applied
(
	one boolean PRIMARY KEY DEFAULT true CHECK (one),
	version bigint NOT NULL,
	chain bytea NOT NULL,
	digest bytea NOT NULL
) WITH (fillfactor = 50);
COMMENT ON TABLE schemadrift_store.applied IS 'how far this region''s schema has followed the log';

CREATE TABLE schemadrift_store.execution
(
	version bigint PRIMARY KEY,
	state text NOT NULL CHECK (state IN ('applied', 'skipped')),
	at timestamptz NOT NULL,
	duration_ms double precision NOT NULL,
	attempts integer NOT NULL,
	reason text
);
COMMENT ON TABLE schemadrift_store.execution IS 'how each version was dealt with here';

CREATE TABLE schemadrift_store.attempt
(
	entry_id uuid PRIMARY KEY,
	version bigint NOT NULL,
	name text,
	at timestamptz NOT NULL DEFAULT clock_timestamp(),
	closed boolean NOT NULL DEFAULT false
);
CREATE INDEX attempt_name ON schemadrift_store.attempt (name) WHERE name IS NOT NULL;
COMMENT ON TABLE schemadrift_store.attempt IS
	'entries this region set out to propose, so that outcome() can answer after a crash';

CREATE TABLE schemadrift_store.peer
(
	region text NOT NULL,
	incarnation integer NOT NULL,
	applied bigint NOT NULL,
	vote_seq bigint NOT NULL,
	boot_id bigint NOT NULL,
	PRIMARY KEY (region, incarnation)
) WITH (fillfactor = 50);
COMMENT ON TABLE schemadrift_store.peer IS 'the most that was ever heard of each region';

CREATE TABLE schemadrift_store.bypass
(
	n bigint PRIMARY KEY,
	at timestamptz NOT NULL,
	author text NOT NULL,
	mode text NOT NULL,
	reason text,
	command text NOT NULL
);
COMMENT ON TABLE schemadrift_store.bypass IS 'schema changes made here outside the log: each is a dot of this region';
-- Calls between regions: each one autocommit statement on a libpq connection.  The first seven
-- arguments say who calls whom; an answer's first row is the verdict, further rows carry entries.
-- They run with the extension owner's rights: schemadrift_peer may do this, and nothing else.

CREATE FUNCTION schemadrift_rpc.prepare(protocol integer, group_id uuid, generation integer, callee text,
	caller text, caller_incarnation integer, known_vote_seq bigint,
	round bigint, nonce bigint, version bigint, chain bytea,
	OUT answer text, OUT incarnation integer, OUT vote_seq bigint, OUT at_version bigint,
	OUT ballot_round bigint, OUT ballot_region text, OUT ballot_nonce bigint,
	OUT reason text, OUT entry_chain bytea, OUT body bytea)
	RETURNS SETOF record LANGUAGE c VOLATILE SECURITY DEFINER PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'sd_rpc_prepare';
COMMENT ON FUNCTION schemadrift_rpc.prepare IS 'phase 1: promise a ballot; reports what was accepted';

CREATE FUNCTION schemadrift_rpc.accept(protocol integer, group_id uuid, generation integer, callee text,
	caller text, caller_incarnation integer, known_vote_seq bigint,
	round bigint, nonce bigint, version bigint, chain bytea, entry bytea,
	OUT answer text, OUT incarnation integer, OUT vote_seq bigint, OUT at_version bigint,
	OUT ballot_round bigint, OUT ballot_region text, OUT ballot_nonce bigint,
	OUT reason text, OUT entry_chain bytea, OUT body bytea)
	RETURNS SETOF record LANGUAGE c VOLATILE SECURITY DEFINER PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'sd_rpc_accept';
COMMENT ON FUNCTION schemadrift_rpc.accept IS 'phase 2: vote for an entry';

CREATE FUNCTION schemadrift_rpc.learn(protocol integer, group_id uuid, generation integer, callee text,
	caller text, caller_incarnation integer, known_vote_seq bigint,
	version bigint, entry_id uuid, hash bytea, chain bytea, entry bytea,
	OUT answer text, OUT head bigint)
	RETURNS record LANGUAGE c VOLATILE SECURITY DEFINER PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'sd_rpc_learn';
COMMENT ON FUNCTION schemadrift_rpc.learn IS 'tells that a version is chosen; the entry is sent only to who lacks it';

CREATE FUNCTION schemadrift_rpc.fetch(protocol integer, group_id uuid, generation integer, callee text,
	caller text, caller_incarnation integer, known_vote_seq bigint,
	from_version bigint, max_bytes bigint,
	OUT version bigint, OUT entry_chain bytea, OUT body bytea)
	RETURNS SETOF record LANGUAGE c VOLATILE SECURITY DEFINER PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'sd_rpc_fetch';
COMMENT ON FUNCTION schemadrift_rpc.fetch IS 'log rows from a version on; writes nothing';

CREATE FUNCTION schemadrift_rpc.exchange(protocol integer, group_id uuid, generation integer, callee text,
	caller text, caller_incarnation integer, known_vote_seq bigint,
	boot_id bigint, head bigint, applied bigint, digest bytea, own_vote_seq bigint, hlc bigint,
	state text, halted_at bigint, attempts integer, halt_error text, names_seen bigint,
	OUT incarnation integer, OUT peer_boot_id bigint, OUT peer_head bigint, OUT peer_applied bigint,
	OUT peer_digest bytea, OUT vote_seq bigint, OUT peer_hlc bigint, OUT peer_state text,
	OUT peer_halted_at bigint, OUT peer_attempts integer, OUT peer_halt_error text,
	OUT names_now bigint, OUT names text)
	RETURNS record LANGUAGE c VOLATILE SECURITY DEFINER PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'sd_rpc_exchange';
COMMENT ON FUNCTION schemadrift_rpc.exchange IS 'heartbeat: both regions tell how far they are; writes nothing';

CREATE FUNCTION schemadrift_rpc.admit(protocol integer, group_id uuid, region text, conninfo text, role text,
	OUT version bigint, OUT incarnation integer)
	RETURNS record LANGUAGE c VOLATILE SECURITY DEFINER PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'sd_rpc_admit';
COMMENT ON FUNCTION schemadrift_rpc.admit IS 'a new region asks to become an observer of the group';

CREATE FUNCTION schemadrift_rpc.promote(protocol integer, group_id uuid, generation integer, callee text,
	caller text, caller_incarnation integer, known_vote_seq bigint)
	RETURNS bigint LANGUAGE c VOLATILE SECURITY DEFINER PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'sd_rpc_promote';
COMMENT ON FUNCTION schemadrift_rpc.promote IS 'an observer that has caught up asks to become what it joined to be';

CREATE FUNCTION schemadrift_rpc.describe(protocol integer,
	OUT group_id uuid, OUT generation integer, OUT region text, OUT head bigint, OUT applied bigint, OUT digest bytea,
	OUT form integer)
	RETURNS record LANGUAGE c VOLATILE SECURITY DEFINER PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'sd_rpc_describe';
COMMENT ON FUNCTION schemadrift_rpc.describe IS 'which group this is and how far it is; for compare and join';

CREATE FUNCTION schemadrift_rpc.objects(protocol integer,
	OUT kind text, OUT identity text, OUT hash bytea)
	RETURNS SETOF record LANGUAGE c VOLATILE SECURITY DEFINER PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'sd_rpc_objects';
COMMENT ON FUNCTION schemadrift_rpc.objects IS 'the digest of every object; for compare and join';

CREATE FUNCTION schemadrift_rpc.history(protocol integer, group_id uuid, from_version bigint, max_bytes bigint,
	OUT version bigint, OUT entry_chain bytea, OUT body bytea)
	RETURNS SETOF record LANGUAGE c VOLATILE SECURITY DEFINER PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'sd_rpc_history';
COMMENT ON FUNCTION schemadrift_rpc.history IS 'log rows from a version on, for who is about to join';
-- Digests of the schema's objects (docs/digest.md).  (classid, objid) only finds an object's row here, in this region: an
-- object is its kind and its name.

CREATE TABLE schemadrift_store.object
(
	classid oid NOT NULL,
	objid oid NOT NULL,
	kind text COLLATE "C" NOT NULL,
	identity text COLLATE "C" NOT NULL,
	hash bytea NOT NULL,
	names bigint NOT NULL,
	PRIMARY KEY (classid, objid)
);
COMMENT ON TABLE schemadrift_store.object IS 'one digest for each object of the schema';
COMMENT ON COLUMN schemadrift_store.object.hash IS 'SHA-256 over the canonical definition';
COMMENT ON COLUMN schemadrift_store.object.names IS
	'hash of the names that other definitions may contain: when it changes they are looked at again; says nothing elsewhere';

CREATE TABLE schemadrift_store.digest
(
	one boolean PRIMARY KEY DEFAULT true CHECK (one),
	form integer NOT NULL,
	catalog_version integer NOT NULL,
	local text NOT NULL,
	root bytea NOT NULL
) WITH (fillfactor = 50);
COMMENT ON TABLE schemadrift_store.digest IS 'the digest over all rows of object';
COMMENT ON COLUMN schemadrift_store.digest.catalog_version IS
	'catalog version of the server that made them: pg_upgrade keeps the rows, but not all OIDs';
COMMENT ON COLUMN schemadrift_store.digest.local IS 'the policy''s patterns of local objects that were left out';
COMMENT ON COLUMN schemadrift_store.digest.form IS 'version of the canonical form that the digests were made with';

CREATE FUNCTION schemadrift_store.digest_root() RETURNS bytea
	LANGUAGE c STABLE AS 'MODULE_PATHNAME', 'sd_sql_digest_root';
COMMENT ON FUNCTION schemadrift_store.digest_root() IS 'digest of the schema as of the last change or rebuild; null before';

CREATE FUNCTION schemadrift_store.digest_rebuild() RETURNS bytea
	LANGUAGE c AS 'MODULE_PATHNAME', 'sd_sql_digest_rebuild';
COMMENT ON FUNCTION schemadrift_store.digest_rebuild() IS 'hashes every object again and returns the digest of the schema';

CREATE FUNCTION schemadrift_store.digest_scan(OUT kind text, OUT identity text, OUT hash bytea, OUT definition text)
	RETURNS SETOF record
	LANGUAGE c AS 'MODULE_PATHNAME', 'sd_sql_digest_scan';
COMMENT ON FUNCTION schemadrift_store.digest_scan() IS
	'every object with its digest and canonical definition, computed now; changes nothing';

REVOKE ALL ON FUNCTION schemadrift_store.digest_root(), schemadrift_store.digest_rebuild(),
	schemadrift_store.digest_scan() FROM PUBLIC;
-- Making a group, joining, leaving, and its policy.

CREATE FUNCTION schemadrift.init(region text, conninfo text, role text DEFAULT 'voter') RETURNS void
	LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'sd_init';
COMMENT ON FUNCTION schemadrift.init(text, text, text) IS
	'this database becomes the first region of a new group; conninfo: how other regions reach it';

CREATE FUNCTION schemadrift.compare(via text, OUT object_type text, OUT identity text, OUT difference text)
	RETURNS SETOF record
	LANGUAGE c VOLATILE PARALLEL UNSAFE ROWS 10 AS 'MODULE_PATHNAME', 'sd_compare';
COMMENT ON FUNCTION schemadrift.compare(text) IS
	'objects that are missing, extra or changed here, compared with the region at conninfo via; changes nothing';

CREATE FUNCTION schemadrift.join(via text, region text, conninfo text, role text DEFAULT 'voter',
	options jsonb DEFAULT '{}') RETURNS void
	LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'sd_join';
COMMENT ON FUNCTION schemadrift.join(text, text, text, text, jsonb) IS
	'this database becomes a region of the group of the one at conninfo via; options: {"schema": "equal" | "empty"}';

CREATE FUNCTION schemadrift.remove_region(region text) RETURNS bigint
	LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'sd_remove_region';
COMMENT ON FUNCTION schemadrift.remove_region(text) IS
	'takes another region out of the group, as the version returned; its schema stays as it is';

CREATE FUNCTION schemadrift.leave() RETURNS void
	LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'sd_leave';
COMMENT ON FUNCTION schemadrift.leave() IS
	'this region leaves its group; called again, forgets the group; its schema stays as it is';

CREATE FUNCTION schemadrift.set_policy(policy jsonb) RETURNS bigint
	LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'sd_set_policy';
COMMENT ON FUNCTION schemadrift.set_policy(jsonb) IS
	'changes the group''s policy by key, as the version returned; null takes a key back to its default; see view policy';

CREATE FUNCTION schemadrift_store.policy(OUT key text, OUT value jsonb, OUT since_version bigint, OUT set_by text,
	OUT set_at timestamptz, OUT description text)
	RETURNS SETOF record
	LANGUAGE c STABLE PARALLEL UNSAFE ROWS 10 AS 'MODULE_PATHNAME', 'sd_policy_rows';
COMMENT ON FUNCTION schemadrift_store.policy() IS 'rows of view schemadrift.policy';

CREATE VIEW schemadrift.policy AS SELECT * FROM schemadrift_store.policy();
COMMENT ON VIEW schemadrift.policy IS 'the group''s policy; no row: this database is in no group';
COMMENT ON COLUMN schemadrift.policy.key IS 'key, for set_policy()';
COMMENT ON COLUMN schemadrift.policy.value IS 'value in force';
COMMENT ON COLUMN schemadrift.policy.since_version IS 'version of the log that set it; null: the default';
COMMENT ON COLUMN schemadrift.policy.set_by IS 'who set it';
COMMENT ON COLUMN schemadrift.policy.set_at IS 'when it was set';
COMMENT ON COLUMN schemadrift.policy.description IS 'what it means';

REVOKE ALL ON FUNCTION schemadrift.init(text, text, text), schemadrift.compare(text),
	schemadrift.join(text, text, text, text, jsonb), schemadrift.remove_region(text), schemadrift.leave(),
	schemadrift.set_policy(jsonb) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION schemadrift.init(text, text, text), schemadrift.compare(text),
	schemadrift.join(text, text, text, text, jsonb), schemadrift.remove_region(text), schemadrift.leave(),
	schemadrift.set_policy(jsonb) TO schemadrift_admin;
GRANT SELECT ON schemadrift.policy TO schemadrift_admin, schemadrift_migrator, schemadrift_monitor;
GRANT EXECUTE ON FUNCTION schemadrift_store.policy() TO schemadrift_admin, schemadrift_migrator, schemadrift_monitor;
-- Changing the schema, and what became of it.

CREATE FUNCTION schemadrift.apply(name text, up text, down text DEFAULT NULL, options jsonb DEFAULT '{}')
	RETURNS bigint
	LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'sd_apply';
COMMENT ON FUNCTION schemadrift.apply(text, text, text, jsonb) IS
	'runs the text here and, when this transaction commits, in every region; returns its version; options: {"timeout": "30s"}';

CREATE FUNCTION schemadrift.revert(name text) RETURNS bigint
	LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'sd_revert';
COMMENT ON FUNCTION schemadrift.revert(text) IS
	'takes a migration back, as the version returned: its "down" where it was applied, a skip where it was not';

CREATE FUNCTION schemadrift.retry(name text DEFAULT NULL) RETURNS void
	LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'sd_retry';
COMMENT ON FUNCTION schemadrift.retry(text) IS 'in a halted region: try now to apply the version that failed';

CREATE FUNCTION schemadrift.mark_applied(name text, reason text) RETURNS void
	LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'sd_mark_applied';
COMMENT ON FUNCTION schemadrift.mark_applied(text, text) IS
	'in a halted region: the version that failed was done by hand; accepted if the schema is what it must be';

CREATE FUNCTION schemadrift.outcome(entry_id uuid) RETURNS text
	LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'sd_outcome_id';
COMMENT ON FUNCTION schemadrift.outcome(uuid) IS
	'applied, chosen, rejected or undecided; null: never heard of; an answer other than undecided never changes its meaning';

CREATE FUNCTION schemadrift.outcome(name text) RETURNS text
	LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'sd_outcome_name';
COMMENT ON FUNCTION schemadrift.outcome(text) IS 'the same for the newest attempt of a migration, by its name; or by an entry''s id, where it looks like one';

CREATE PROCEDURE schemadrift.wait_for(version bigint, regions text[] DEFAULT NULL, timeout interval DEFAULT '1 min')
	LANGUAGE c AS 'MODULE_PATHNAME', 'sd_wait_for';
COMMENT ON PROCEDURE schemadrift.wait_for(bigint, text[], interval) IS
	'returns when these regions (default: all that serve) have applied the version; holds no snapshot while it waits';

REVOKE ALL ON FUNCTION schemadrift.apply(text, text, text, jsonb), schemadrift.revert(text), schemadrift.retry(text),
	schemadrift.mark_applied(text, text), schemadrift.outcome(uuid), schemadrift.outcome(text) FROM PUBLIC;
REVOKE ALL ON PROCEDURE schemadrift.wait_for(bigint, text[], interval) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION schemadrift.apply(text, text, text, jsonb), schemadrift.revert(text), schemadrift.retry(text)
	TO schemadrift_migrator;
GRANT EXECUTE ON FUNCTION schemadrift.retry(text), schemadrift.mark_applied(text, text) TO schemadrift_admin;
-- whoever may change the schema by plain DDL may be left with an unknown outcome, and must be able to ask
GRANT EXECUTE ON FUNCTION schemadrift.outcome(uuid), schemadrift.outcome(text) TO PUBLIC;
GRANT EXECUTE ON PROCEDURE schemadrift.wait_for(bigint, text[], interval)
	TO schemadrift_admin, schemadrift_migrator, schemadrift_monitor;
-- How this region and its group are.  None of these views shows a migration's text or a conninfo.

CREATE FUNCTION schemadrift_store.status(OUT region text, OUT state text, OUT version bigint, OUT head bigint, OUT mode text,
	OUT blocked_by text, OUT reason text, OUT remedy text)
	RETURNS SETOF record LANGUAGE c VOLATILE PARALLEL UNSAFE ROWS 1 AS 'MODULE_PATHNAME', 'sd_status_rows';
COMMENT ON FUNCTION schemadrift_store.status() IS 'row of view schemadrift.status';

CREATE FUNCTION schemadrift_store.regions(OUT region text, OUT role text, OUT incarnation integer, OUT state text,
	OUT applied_version bigint, OUT last_heard timestamptz, OUT rtt_ms double precision, OUT circuit text, OUT error text)
	RETURNS SETOF record LANGUAGE c VOLATILE PARALLEL UNSAFE ROWS 5 AS 'MODULE_PATHNAME', 'sd_region_rows';
COMMENT ON FUNCTION schemadrift_store.regions() IS 'rows of view schemadrift.regions';

CREATE FUNCTION schemadrift_store.progress(OUT region text, OUT own boolean, OUT applied bigint, OUT halted_at bigint,
	OUT attempts integer, OUT error text, OUT applying bigint, OUT applying_since timestamptz)
	RETURNS SETOF record LANGUAGE c VOLATILE PARALLEL UNSAFE ROWS 5 AS 'MODULE_PATHNAME', 'sd_progress_rows';
COMMENT ON FUNCTION schemadrift_store.progress() IS 'how far each region has applied the log, as this region knows it';

CREATE FUNCTION schemadrift_store.decisions(OUT at timestamptz, OUT hlc bigint, OUT kind text, OUT subject text,
	OUT outcome text, OUT votes text, OUT reason text)
	RETURNS SETOF record LANGUAGE c VOLATILE PARALLEL UNSAFE ROWS 100 AS 'MODULE_PATHNAME', 'sd_decision_rows';
COMMENT ON FUNCTION schemadrift_store.decisions() IS 'rows of view schemadrift.decisions';

CREATE VIEW schemadrift.status AS SELECT * FROM schemadrift_store.status();
COMMENT ON VIEW schemadrift.status IS 'this region: how it is, what is wrong, what to type';
COMMENT ON COLUMN schemadrift.status.region IS 'name of this region; null: in no group';
COMMENT ON COLUMN schemadrift.status.state IS 'not_joined, healthy, degraded, no_quorum, halted or void';
COMMENT ON COLUMN schemadrift.status.version IS 'version of the log that this region''s schema has followed to';
COMMENT ON COLUMN schemadrift.status.head IS 'newest version in this region''s log';
COMMENT ON COLUMN schemadrift.status.mode IS 'what the group''s policy does with plain DDL: observe, coordinate, require_apply';
COMMENT ON COLUMN schemadrift.status.blocked_by IS 'who changes the schema here just now';
COMMENT ON COLUMN schemadrift.status.reason IS 'what is wrong, in words';
COMMENT ON COLUMN schemadrift.status.remedy IS 'what to do or type';

CREATE VIEW schemadrift.regions AS
	SELECT region, role, incarnation, state, applied_version, last_heard::timestamptz(3) AS last_heard,
		pg_catalog.round(rtt_ms::numeric, 2)::double precision AS rtt_ms, circuit, error
	FROM schemadrift_store.regions();
COMMENT ON VIEW schemadrift.regions IS 'the regions of the group, as this one knows them';
COMMENT ON COLUMN schemadrift.regions.region IS 'name of the region';
COMMENT ON COLUMN schemadrift.regions.role IS 'voter, observer or witness';
COMMENT ON COLUMN schemadrift.regions.incarnation IS 'which uninterrupted life of the region this is, from 1';
COMMENT ON COLUMN schemadrift.regions.state IS 'what it says of itself, as in view status; unreachable: not heard of lately';
COMMENT ON COLUMN schemadrift.regions.applied_version IS 'version that its schema has followed the log to';
COMMENT ON COLUMN schemadrift.regions.last_heard IS 'when it last told how far it is';
COMMENT ON COLUMN schemadrift.regions.rtt_ms IS 'round-trip time of our calls to it, smoothed';
COMMENT ON COLUMN schemadrift.regions.circuit IS 'our connection to it: closed (works), half_open (being tried), open (waits before the next try)';
COMMENT ON COLUMN schemadrift.regions.error IS 'why our calls fail, or why it is halted';

CREATE VIEW schemadrift.migrations AS
	SELECT l.version, l.name, l.kind,
		CASE WHEN e.state = 'skipped' THEN 'skipped'
			WHEN t.version <= a.version THEN 'reverted'
			WHEN l.version <= a.version THEN 'applied'
			WHEN l.version = p.halted_at THEN 'failed'
			ELSE 'chosen' END AS state,
		l.author, l.origin, pg_catalog.to_timestamp((l.hlc >> 16) / 1000.0)::timestamptz(3) AS at, l.entry_id
	FROM schemadrift_store.log l
		CROSS JOIN schemadrift_store.applied a
		LEFT JOIN schemadrift_store.execution e ON e.version = l.version
		LEFT JOIN LATERAL (SELECT pg_catalog.min(b.version) AS version FROM schemadrift_store.log b
			WHERE b.target = l.version AND b.kind IN ('revert', 'supersede')) t ON true
		LEFT JOIN schemadrift_store.progress() p ON p.own
	ORDER BY l.version;
COMMENT ON VIEW schemadrift.migrations IS 'the log, a row a version, and what became of it in this region';
COMMENT ON COLUMN schemadrift.migrations.version IS 'position in the log';
COMMENT ON COLUMN schemadrift.migrations.name IS 'the migration''s name; of a revert or supersede: that of what it takes back';
COMMENT ON COLUMN schemadrift.migrations.kind IS 'baseline, migration, revert, supersede, config, policy or noop';
COMMENT ON COLUMN schemadrift.migrations.state IS
	'here: chosen (not applied yet), failed, applied, skipped, reverted (taken back by a later version)';
COMMENT ON COLUMN schemadrift.migrations.author IS 'session user who made it';
COMMENT ON COLUMN schemadrift.migrations.origin IS 'region in which it was made';
COMMENT ON COLUMN schemadrift.migrations.at IS 'when it was made, by the group''s hybrid clock';
COMMENT ON COLUMN schemadrift.migrations.entry_id IS 'id, for outcome()';

CREATE VIEW schemadrift.migration_status AS
	SELECT l.version, l.name, p.region,
		CASE WHEN p.own AND e.state IS NOT NULL THEN e.state
			WHEN l.version <= p.applied THEN 'applied'
			WHEN l.version = p.applying THEN 'applying'
			WHEN l.version = p.halted_at THEN 'failed'
			ELSE 'pending' END AS state,
		CASE WHEN p.own AND l.version <= p.applied THEN e.attempts
			WHEN l.version = p.applied + 1 THEN p.attempts END AS attempts,
		CASE WHEN p.own AND l.version <= p.applied THEN e.at
			WHEN l.version = p.applying THEN p.applying_since END::timestamptz(3) AS started,
		CASE WHEN p.own THEN e.duration_ms END AS duration_ms,
		CASE WHEN l.version = p.applied + 1 THEN p.error END AS error,
		CASE WHEN l.version = p.halted_at AND l.version > p.applied THEN
			pg_catalog.format('in %s: mend the cause, then SELECT schemadrift.retry(%L); or anywhere: SELECT schemadrift.revert(%L)',
				p.region, l.name, l.name) END AS remedy
	FROM schemadrift_store.log l
		CROSS JOIN schemadrift_store.progress() p
		LEFT JOIN schemadrift_store.execution e ON e.version = l.version
	ORDER BY l.version, p.region;
COMMENT ON VIEW schemadrift.migration_status IS 'each version in each region, as this region knows it';
COMMENT ON COLUMN schemadrift.migration_status.version IS 'position in the log';
COMMENT ON COLUMN schemadrift.migration_status.name IS 'the migration''s name';
COMMENT ON COLUMN schemadrift.migration_status.region IS 'name of the region';
COMMENT ON COLUMN schemadrift.migration_status.state IS 'pending, applying, applied, skipped or failed; skipped is known of this region only';
COMMENT ON COLUMN schemadrift.migration_status.attempts IS 'how often it was tried; of the next version: how often it failed';
COMMENT ON COLUMN schemadrift.migration_status.started IS 'when the last attempt began; known of this region only';
COMMENT ON COLUMN schemadrift.migration_status.duration_ms IS 'how long it took; known of this region only';
COMMENT ON COLUMN schemadrift.migration_status.error IS 'why the last attempt failed';
COMMENT ON COLUMN schemadrift.migration_status.remedy IS 'what to do or type, and where';

CREATE VIEW schemadrift.decisions AS
	SELECT at::timestamptz(3) AS at, hlc, kind, subject, outcome, votes, reason FROM schemadrift_store.decisions();
COMMENT ON VIEW schemadrift.decisions IS 'the newest decisions of this region since its server''s start, oldest first';
COMMENT ON COLUMN schemadrift.decisions.at IS 'when, by this server''s clock';
COMMENT ON COLUMN schemadrift.decisions.hlc IS 'when, by the group''s hybrid clock';
COMMENT ON COLUMN schemadrift.decisions.kind IS 'grant, refusal, change, preemption, settlement, bypass, would-have ...';
COMMENT ON COLUMN schemadrift.decisions.subject IS 'migration or command that it was about';
COMMENT ON COLUMN schemadrift.decisions.outcome IS 'what was decided';
COMMENT ON COLUMN schemadrift.decisions.votes IS 'who answered what';
COMMENT ON COLUMN schemadrift.decisions.reason IS 'why, in words';

GRANT SELECT ON schemadrift.status, schemadrift.regions, schemadrift.migrations, schemadrift.migration_status,
	schemadrift.decisions TO schemadrift_admin, schemadrift_migrator, schemadrift_monitor;
GRANT EXECUTE ON FUNCTION schemadrift_store.status(), schemadrift_store.regions(), schemadrift_store.progress(),
	schemadrift_store.decisions() TO schemadrift_admin, schemadrift_migrator, schemadrift_monitor;
-- Last: every table of the store gets the guards, whichever fragment made it.
DO $$
DECLARE
	t regclass;
BEGIN
	FOR t IN SELECT oid FROM pg_catalog.pg_class
			 WHERE relnamespace = 'schemadrift_store'::regnamespace AND relkind = 'r'
	LOOP
		EXECUTE pg_catalog.format('CREATE TRIGGER guard_row BEFORE INSERT OR UPDATE OR DELETE ON %s
			FOR EACH ROW EXECUTE FUNCTION schemadrift_store.guard_row()', t);
		EXECUTE pg_catalog.format('ALTER TABLE %s ENABLE REPLICA TRIGGER guard_row', t);
		EXECUTE pg_catalog.format('CREATE TRIGGER guard_truncate BEFORE TRUNCATE ON %s
			FOR EACH STATEMENT EXECUTE FUNCTION schemadrift_store.guard_truncate()', t);
		EXECUTE pg_catalog.format('ALTER TABLE %s ENABLE ALWAYS TRIGGER guard_truncate', t);
	END LOOP;
END
$$;
-- Last: nothing of the store and of the calls is anybody's by default, whichever fragment made it.
REVOKE ALL ON SCHEMA schemadrift_store, schemadrift_rpc FROM PUBLIC;
REVOKE ALL ON ALL TABLES IN SCHEMA schemadrift_store FROM PUBLIC;
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA schemadrift_store, schemadrift_rpc FROM PUBLIC;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA schemadrift_rpc TO schemadrift_peer;
