-- What differs between regions, and in what.  The calls between regions write nothing and need no membership: compare() is for
-- who is about to join.

CREATE FUNCTION schemadrift_rpc.buckets(protocol integer, OUT version bigint, OUT sums bytea)
	RETURNS record LANGUAGE c VOLATILE SECURITY DEFINER PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'sd_rpc_buckets';
COMMENT ON FUNCTION schemadrift_rpc.buckets IS
	'256 sums, each over the digests of the objects of one bucket, as the schema is now; for diff, compare and join';

CREATE FUNCTION schemadrift_rpc.bucket_objects(protocol integer, buckets integer[],
	OUT kind text, OUT identity text, OUT hash bytea)
	RETURNS SETOF record LANGUAGE c VOLATILE SECURITY DEFINER PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'sd_rpc_bucket_objects';
COMMENT ON FUNCTION schemadrift_rpc.bucket_objects IS 'the digest of every object in these buckets; for diff, compare and join';

CREATE FUNCTION schemadrift_rpc.beside(protocol integer, OUT kind text, OUT identity text, OUT definition text,
	OUT apart boolean)
	RETURNS SETOF record LANGUAGE c VOLATILE SECURITY DEFINER PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'sd_rpc_beside';
COMMENT ON FUNCTION schemadrift_rpc.beside IS 'what no digest counts: who has MAINTAIN (17) otherwise than by default; for diff; no row: this region cannot say';

CREATE FUNCTION schemadrift_rpc.definitions(protocol integer, kinds text[], identities text[], everything boolean,
	OUT kind text, OUT identity text, OUT hash bytea, OUT definition text)
	RETURNS SETOF record LANGUAGE c VOLATILE SECURITY DEFINER PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'sd_rpc_definitions';
COMMENT ON FUNCTION schemadrift_rpc.definitions IS
	'canonical definitions of objects, with their digests, as they are now; null: too long; everything: look for what no hook has seen, too';

CREATE FUNCTION schemadrift_rpc.drift(protocol integer, group_id uuid, generation integer, callee text,
	caller text, caller_incarnation integer, known_vote_seq bigint,
	OUT tag bigint, OUT kind text, OUT identity text, OUT expected bytea, OUT actual bytea, OUT expected_definition text,
	OUT actual_definition text, OUT since timestamptz, OUT change bigint, OUT found text, OUT acknowledged text, OUT author text)
	RETURNS SETOF record LANGUAGE c VOLATILE SECURITY DEFINER PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'sd_rpc_drift';
COMMENT ON FUNCTION schemadrift_rpc.drift IS
	'objects of this region that are otherwise than the log says, and the number over them that its exchanges tell; writes nothing';

CREATE FUNCTION schemadrift_rpc.verify(protocol integer, group_id uuid, generation integer, callee text,
	caller text, caller_incarnation integer, known_vote_seq bigint,
	OUT tag bigint, OUT kind text, OUT identity text, OUT expected bytea, OUT actual bytea, OUT expected_definition text,
	OUT actual_definition text, OUT since timestamptz, OUT change bigint, OUT found text, OUT acknowledged text, OUT author text)
	RETURNS SETOF record LANGUAGE c VOLATILE SECURITY DEFINER PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'sd_rpc_verify';
COMMENT ON FUNCTION schemadrift_rpc.verify IS
	'compares the whole schema of this region with its digests, now, and answers as drift does; writes what it finds, if it finds something';

CREATE FUNCTION schemadrift.diff(region_a text, region_b text DEFAULT NULL, OUT object_type text, OUT identity text,
	OUT difference text, OUT property text, OUT in_a text, OUT in_b text)
	RETURNS SETOF record
	LANGUAGE c VOLATILE PARALLEL UNSAFE ROWS 10 AS 'MODULE_PATHNAME', 'sd_diff';
COMMENT ON FUNCTION schemadrift.diff(text, text) IS
	'what is missing, extra or changed in region_a, compared with region_b (default: this region), as both are now; a row a property; changes nothing';

REVOKE ALL ON FUNCTION schemadrift.diff(text, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION schemadrift.diff(text, text) TO schemadrift_admin, schemadrift_migrator;
