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
