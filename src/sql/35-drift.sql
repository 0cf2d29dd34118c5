-- Where the schema of a region is otherwise than the log says: a row an object.

CREATE TABLE schemadrift_store.drift
(
	region text NOT NULL,
	kind text COLLATE "C" NOT NULL,
	identity text COLLATE "C" NOT NULL,
	expected bytea,
	actual bytea,
	expected_definition text,
	actual_definition text,
	since timestamptz NOT NULL,
	change bigint,
	found text NOT NULL CHECK (found IN ('bypass', 'observe', 'verify', 'adopt', 'replay')),
	acknowledged text,
	author text,
	PRIMARY KEY (region, kind, identity)
);
COMMENT ON TABLE schemadrift_store.drift IS
	'objects that are otherwise than the log says; of this region: the truth, of others: a copy of what they told';
COMMENT ON COLUMN schemadrift_store.drift.expected IS 'digest by the log; null: by the log there is no such object';
COMMENT ON COLUMN schemadrift_store.drift.actual IS 'digest there; null: there is no such object';
COMMENT ON COLUMN schemadrift_store.drift.expected_definition IS 'canonical definition by the log; null: not known yet, or no such object';
COMMENT ON COLUMN schemadrift_store.drift.actual_definition IS 'canonical definition there';
COMMENT ON COLUMN schemadrift_store.drift.since IS 'when it was first seen to be otherwise';
COMMENT ON COLUMN schemadrift_store.drift.change IS 'the change outside the log that made it so last: bypass.n of that region';
COMMENT ON COLUMN schemadrift_store.drift.found IS
	'how it was seen: bypass (ddl_mode off), observe (policy), verify (past every hook), adopt (known when the region joined), replay (an entry left it so)';
COMMENT ON COLUMN schemadrift_store.drift.acknowledged IS 'of differences that join() adopted: why';
COMMENT ON COLUMN schemadrift_store.drift.author IS 'in a copy: who made that change, as the region told; of this region bypass says it';

CREATE TABLE schemadrift_store.said
(
	kind text COLLATE "C" NOT NULL,
	identity text COLLATE "C" NOT NULL,
	hash bytea NOT NULL,
	definition text,
	PRIMARY KEY (kind, identity)
);
COMMENT ON TABLE schemadrift_store.said IS
	'objects of the version at which this region is halted with SD008, as the entry says they are; else empty';
COMMENT ON COLUMN schemadrift_store.said.definition IS 'canonical definition, as a region that has it so told; null: none has yet';

-- tables object and bypass are of the first released version; hash: a function's identity may be longer than a btree takes
CREATE INDEX object_identity ON schemadrift_store.object USING hash (identity);

ALTER TABLE schemadrift_store.bypass ADD COLUMN settled timestamptz;
COMMENT ON COLUMN schemadrift_store.bypass.settled IS
	'since when nothing of it is left: taken back, adopted by the log, or overwritten; null: it is part of this region''s schema';

CREATE TABLE schemadrift_store.beside
(
	kind text COLLATE "C" NOT NULL,
	identity text COLLATE "C" NOT NULL,
	definition text NOT NULL,
	apart boolean NOT NULL,
	PRIMARY KEY (kind, identity)
);
COMMENT ON TABLE schemadrift_store.beside IS
	'what no digest counts, because not all majors of PostgreSQL have it: who has MAINTAIN otherwise than by default; empty on 15 and 16; the row without a name says that all objects were looked at';
COMMENT ON COLUMN schemadrift_store.beside.definition IS 'lines as a canonical definition has them';
COMMENT ON COLUMN schemadrift_store.beside.apart IS 'somebody has it without all other rights, or all others without it';

CREATE FUNCTION schemadrift.verify(region text DEFAULT NULL, OUT object_type text, OUT identity text, OUT difference text,
	OUT property text, OUT by_log text, OUT here text, OUT since timestamptz)
	RETURNS SETOF record
	LANGUAGE c VOLATILE PARALLEL UNSAFE ROWS 10 AS 'MODULE_PATHNAME', 'sd_verify';
COMMENT ON FUNCTION schemadrift.verify(text) IS
	'compares the whole schema of a region (default: this one) with its digests, now, and returns what is there otherwise than the log says; a row a property, where that is known; here: in that region';

REVOKE ALL ON FUNCTION schemadrift.verify(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION schemadrift.verify(text) TO schemadrift_admin, schemadrift_migrator;
