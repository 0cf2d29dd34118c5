-- Digests of the schema's objects (docs/fingerprint.md).  (classid, objid) only finds an object's row here, in this region: an
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
