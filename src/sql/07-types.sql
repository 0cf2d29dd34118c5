-- Types: version vectors and hybrid clocks.  For everybody: they compute, and tell nothing of this region.

-- ---- version_vector ----

CREATE TYPE schemadrift.version_vector;

CREATE FUNCTION schemadrift.version_vector_in(cstring) RETURNS schemadrift.version_vector
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'sd_version_vector_in';
CREATE FUNCTION schemadrift.version_vector_out(schemadrift.version_vector) RETURNS cstring
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'sd_version_vector_out';
CREATE FUNCTION schemadrift.version_vector_recv(internal) RETURNS schemadrift.version_vector
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'sd_version_vector_recv';
CREATE FUNCTION schemadrift.version_vector_send(schemadrift.version_vector) RETURNS bytea
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'sd_version_vector_send';

CREATE TYPE schemadrift.version_vector (
	INPUT = schemadrift.version_vector_in,
	OUTPUT = schemadrift.version_vector_out,
	RECEIVE = schemadrift.version_vector_recv,
	SEND = schemadrift.version_vector_send,
	STORAGE = extended
);
COMMENT ON TYPE schemadrift.version_vector IS
	'version vector, like {eu-west:3,us-east:7,us-east~2:1}: of each region (~n: its n-th incarnation) how many schema events are contained';

CREATE FUNCTION schemadrift.version_vector_eq(schemadrift.version_vector, schemadrift.version_vector) RETURNS boolean
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'sd_version_vector_eq';
CREATE FUNCTION schemadrift.version_vector_ne(schemadrift.version_vector, schemadrift.version_vector) RETURNS boolean
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'sd_version_vector_ne';
CREATE FUNCTION schemadrift.version_vector_lt(schemadrift.version_vector, schemadrift.version_vector) RETURNS boolean
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'sd_version_vector_lt';
CREATE FUNCTION schemadrift.version_vector_le(schemadrift.version_vector, schemadrift.version_vector) RETURNS boolean
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'sd_version_vector_le';
CREATE FUNCTION schemadrift.version_vector_gt(schemadrift.version_vector, schemadrift.version_vector) RETURNS boolean
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'sd_version_vector_gt';
CREATE FUNCTION schemadrift.version_vector_ge(schemadrift.version_vector, schemadrift.version_vector) RETURNS boolean
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'sd_version_vector_ge';
CREATE FUNCTION schemadrift.version_vector_concurrent(schemadrift.version_vector, schemadrift.version_vector) RETURNS boolean
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'sd_version_vector_concurrent';
CREATE FUNCTION schemadrift.version_vector_merge(schemadrift.version_vector, schemadrift.version_vector) RETURNS schemadrift.version_vector
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'sd_version_vector_merge';
CREATE FUNCTION schemadrift.version_vector_counter(schemadrift.version_vector, text) RETURNS bigint
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'sd_version_vector_counter';
CREATE FUNCTION schemadrift.increment(vector schemadrift.version_vector, member text) RETURNS schemadrift.version_vector
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'sd_version_vector_increment';
CREATE FUNCTION schemadrift.version_vector_hash(schemadrift.version_vector) RETURNS integer
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'sd_version_vector_hash';
CREATE FUNCTION schemadrift.version_vector_hash_extended(schemadrift.version_vector, bigint) RETURNS bigint
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'sd_version_vector_hash_extended';

COMMENT ON FUNCTION schemadrift.version_vector_in(cstring) IS 'text input';
COMMENT ON FUNCTION schemadrift.version_vector_out(schemadrift.version_vector) IS 'text output';
COMMENT ON FUNCTION schemadrift.version_vector_recv(internal) IS 'binary input';
COMMENT ON FUNCTION schemadrift.version_vector_send(schemadrift.version_vector) IS 'binary output';
COMMENT ON FUNCTION schemadrift.version_vector_eq(schemadrift.version_vector, schemadrift.version_vector) IS 'implements operator =';
COMMENT ON FUNCTION schemadrift.version_vector_ne(schemadrift.version_vector, schemadrift.version_vector) IS 'implements operator <>';
COMMENT ON FUNCTION schemadrift.version_vector_lt(schemadrift.version_vector, schemadrift.version_vector) IS 'implements operator <';
COMMENT ON FUNCTION schemadrift.version_vector_le(schemadrift.version_vector, schemadrift.version_vector) IS 'implements operator <=';
COMMENT ON FUNCTION schemadrift.version_vector_gt(schemadrift.version_vector, schemadrift.version_vector) IS 'implements operator >';
COMMENT ON FUNCTION schemadrift.version_vector_ge(schemadrift.version_vector, schemadrift.version_vector) IS 'implements operator >=';
COMMENT ON FUNCTION schemadrift.version_vector_concurrent(schemadrift.version_vector, schemadrift.version_vector) IS 'implements operator <||>';
COMMENT ON FUNCTION schemadrift.version_vector_merge(schemadrift.version_vector, schemadrift.version_vector) IS 'implements operator |';
COMMENT ON FUNCTION schemadrift.version_vector_counter(schemadrift.version_vector, text) IS 'implements operator ->';
COMMENT ON FUNCTION schemadrift.increment(schemadrift.version_vector, text) IS 'the vector with one event more of a member, like us-east or us-east~2';
COMMENT ON FUNCTION schemadrift.version_vector_hash(schemadrift.version_vector) IS 'hash';
COMMENT ON FUNCTION schemadrift.version_vector_hash_extended(schemadrift.version_vector, bigint) IS 'hash with a seed';

-- A partial order: a vector that is not behind may be concurrent.  So < and >= negate nothing, there is no merge join, and
-- no btree class: a sort by it would be wrong.
CREATE OPERATOR schemadrift.= (
	LEFTARG = schemadrift.version_vector, RIGHTARG = schemadrift.version_vector, FUNCTION = schemadrift.version_vector_eq,
	COMMUTATOR = OPERATOR(schemadrift.=), NEGATOR = OPERATOR(schemadrift.<>), RESTRICT = eqsel, JOIN = eqjoinsel, HASHES
);
CREATE OPERATOR schemadrift.<> (
	LEFTARG = schemadrift.version_vector, RIGHTARG = schemadrift.version_vector, FUNCTION = schemadrift.version_vector_ne,
	COMMUTATOR = OPERATOR(schemadrift.<>), NEGATOR = OPERATOR(schemadrift.=), RESTRICT = neqsel, JOIN = neqjoinsel
);
CREATE OPERATOR schemadrift.< (
	LEFTARG = schemadrift.version_vector, RIGHTARG = schemadrift.version_vector, FUNCTION = schemadrift.version_vector_lt,
	COMMUTATOR = OPERATOR(schemadrift.>), RESTRICT = scalarltsel, JOIN = scalarltjoinsel
);
CREATE OPERATOR schemadrift.<= (
	LEFTARG = schemadrift.version_vector, RIGHTARG = schemadrift.version_vector, FUNCTION = schemadrift.version_vector_le,
	COMMUTATOR = OPERATOR(schemadrift.>=), RESTRICT = scalarlesel, JOIN = scalarlejoinsel
);
CREATE OPERATOR schemadrift.> (
	LEFTARG = schemadrift.version_vector, RIGHTARG = schemadrift.version_vector, FUNCTION = schemadrift.version_vector_gt,
	COMMUTATOR = OPERATOR(schemadrift.<), RESTRICT = scalargtsel, JOIN = scalargtjoinsel
);
CREATE OPERATOR schemadrift.>= (
	LEFTARG = schemadrift.version_vector, RIGHTARG = schemadrift.version_vector, FUNCTION = schemadrift.version_vector_ge,
	COMMUTATOR = OPERATOR(schemadrift.<=), RESTRICT = scalargesel, JOIN = scalargejoinsel
);
CREATE OPERATOR schemadrift.<||> (
	LEFTARG = schemadrift.version_vector, RIGHTARG = schemadrift.version_vector, FUNCTION = schemadrift.version_vector_concurrent,
	COMMUTATOR = OPERATOR(schemadrift.<||>), RESTRICT = matchingsel, JOIN = matchingjoinsel
);
CREATE OPERATOR schemadrift.| (
	LEFTARG = schemadrift.version_vector, RIGHTARG = schemadrift.version_vector, FUNCTION = schemadrift.version_vector_merge,
	COMMUTATOR = OPERATOR(schemadrift.|)
);
CREATE OPERATOR schemadrift.-> (
	LEFTARG = schemadrift.version_vector, RIGHTARG = text, FUNCTION = schemadrift.version_vector_counter
);

COMMENT ON OPERATOR schemadrift.= (schemadrift.version_vector, schemadrift.version_vector) IS 'the same';
COMMENT ON OPERATOR schemadrift.<> (schemadrift.version_vector, schemadrift.version_vector) IS 'not the same';
COMMENT ON OPERATOR schemadrift.< (schemadrift.version_vector, schemadrift.version_vector) IS 'behind: contains less, and nothing that the other does not';
COMMENT ON OPERATOR schemadrift.<= (schemadrift.version_vector, schemadrift.version_vector) IS 'behind or the same';
COMMENT ON OPERATOR schemadrift.> (schemadrift.version_vector, schemadrift.version_vector) IS 'ahead: contains all of the other, and more';
COMMENT ON OPERATOR schemadrift.>= (schemadrift.version_vector, schemadrift.version_vector) IS 'ahead or the same';
COMMENT ON OPERATOR schemadrift.<||> (schemadrift.version_vector, schemadrift.version_vector) IS 'concurrent: each contains something that the other does not';
COMMENT ON OPERATOR schemadrift.| (schemadrift.version_vector, schemadrift.version_vector) IS 'merged: all that either contains';
COMMENT ON OPERATOR schemadrift.-> (schemadrift.version_vector, text) IS 'how many events of a member, like us-east or us-east~2; 0 where it is absent';

CREATE OPERATOR CLASS schemadrift.version_vector_ops DEFAULT FOR TYPE schemadrift.version_vector USING hash AS
	OPERATOR 1 schemadrift.=,
	FUNCTION 1 schemadrift.version_vector_hash(schemadrift.version_vector),
	FUNCTION 2 schemadrift.version_vector_hash_extended(schemadrift.version_vector, bigint);
COMMENT ON OPERATOR CLASS schemadrift.version_vector_ops USING hash IS 'equality of version vectors';
COMMENT ON OPERATOR FAMILY schemadrift.version_vector_ops USING hash IS 'equality of version vectors';

CREATE AGGREGATE schemadrift.merge(schemadrift.version_vector) (
	SFUNC = schemadrift.version_vector_merge,
	STYPE = schemadrift.version_vector,
	COMBINEFUNC = schemadrift.version_vector_merge,
	PARALLEL = safe
);
COMMENT ON AGGREGATE schemadrift.merge(schemadrift.version_vector) IS 'all that any of them contains; null of none';

-- ---- hlc ----

CREATE TYPE schemadrift.hlc;

CREATE FUNCTION schemadrift.hlc_in(cstring) RETURNS schemadrift.hlc
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'sd_hlc_type_in';
CREATE FUNCTION schemadrift.hlc_out(schemadrift.hlc) RETURNS cstring
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'sd_hlc_type_out';
CREATE FUNCTION schemadrift.hlc_recv(internal) RETURNS schemadrift.hlc
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'sd_hlc_type_recv';
CREATE FUNCTION schemadrift.hlc_send(schemadrift.hlc) RETURNS bytea
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'sd_hlc_type_send';

CREATE TYPE schemadrift.hlc (
	INPUT = schemadrift.hlc_in,
	OUTPUT = schemadrift.hlc_out,
	RECEIVE = schemadrift.hlc_recv,
	SEND = schemadrift.hlc_send,
	LIKE = pg_catalog.int8
);
COMMENT ON TYPE schemadrift.hlc IS
	'value of a hybrid logical clock, like 2024-05-01T12:34:56.789Z+0003: what happened because of something has a greater one, whoever''s clock is wrong';

-- It is an int8 that is never negative, and has its order.
CREATE FUNCTION schemadrift.hlc_eq(schemadrift.hlc, schemadrift.hlc) RETURNS boolean
	LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'int8eq';
CREATE FUNCTION schemadrift.hlc_ne(schemadrift.hlc, schemadrift.hlc) RETURNS boolean
	LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'int8ne';
CREATE FUNCTION schemadrift.hlc_lt(schemadrift.hlc, schemadrift.hlc) RETURNS boolean
	LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'int8lt';
CREATE FUNCTION schemadrift.hlc_le(schemadrift.hlc, schemadrift.hlc) RETURNS boolean
	LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'int8le';
CREATE FUNCTION schemadrift.hlc_gt(schemadrift.hlc, schemadrift.hlc) RETURNS boolean
	LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'int8gt';
CREATE FUNCTION schemadrift.hlc_ge(schemadrift.hlc, schemadrift.hlc) RETURNS boolean
	LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'int8ge';
CREATE FUNCTION schemadrift.hlc_cmp(schemadrift.hlc, schemadrift.hlc) RETURNS integer
	LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'btint8cmp';
CREATE FUNCTION schemadrift.hlc_hash(schemadrift.hlc) RETURNS integer
	LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'hashint8';
CREATE FUNCTION schemadrift.hlc_hash_extended(schemadrift.hlc, bigint) RETURNS bigint
	LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'hashint8extended';
CREATE FUNCTION schemadrift.hlc_larger(schemadrift.hlc, schemadrift.hlc) RETURNS schemadrift.hlc
	LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'int8larger';
CREATE FUNCTION schemadrift.hlc_smaller(schemadrift.hlc, schemadrift.hlc) RETURNS schemadrift.hlc
	LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'int8smaller';
CREATE FUNCTION schemadrift.hlc(bigint) RETURNS schemadrift.hlc
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'sd_hlc_type_from_bigint';
CREATE FUNCTION schemadrift.timestamptz(schemadrift.hlc) RETURNS timestamptz
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'sd_hlc_type_to_timestamptz';

COMMENT ON FUNCTION schemadrift.hlc_in(cstring) IS 'text input';
COMMENT ON FUNCTION schemadrift.hlc_out(schemadrift.hlc) IS 'text output';
COMMENT ON FUNCTION schemadrift.hlc_recv(internal) IS 'binary input';
COMMENT ON FUNCTION schemadrift.hlc_send(schemadrift.hlc) IS 'binary output';
COMMENT ON FUNCTION schemadrift.hlc_eq(schemadrift.hlc, schemadrift.hlc) IS 'implements operator =';
COMMENT ON FUNCTION schemadrift.hlc_ne(schemadrift.hlc, schemadrift.hlc) IS 'implements operator <>';
COMMENT ON FUNCTION schemadrift.hlc_lt(schemadrift.hlc, schemadrift.hlc) IS 'implements operator <';
COMMENT ON FUNCTION schemadrift.hlc_le(schemadrift.hlc, schemadrift.hlc) IS 'implements operator <=';
COMMENT ON FUNCTION schemadrift.hlc_gt(schemadrift.hlc, schemadrift.hlc) IS 'implements operator >';
COMMENT ON FUNCTION schemadrift.hlc_ge(schemadrift.hlc, schemadrift.hlc) IS 'implements operator >=';
COMMENT ON FUNCTION schemadrift.hlc_cmp(schemadrift.hlc, schemadrift.hlc) IS 'less, equal, greater';
COMMENT ON FUNCTION schemadrift.hlc_hash(schemadrift.hlc) IS 'hash';
COMMENT ON FUNCTION schemadrift.hlc_hash_extended(schemadrift.hlc, bigint) IS 'hash with a seed';
COMMENT ON FUNCTION schemadrift.hlc_larger(schemadrift.hlc, schemadrift.hlc) IS 'the later one';
COMMENT ON FUNCTION schemadrift.hlc_smaller(schemadrift.hlc, schemadrift.hlc) IS 'the earlier one';
COMMENT ON FUNCTION schemadrift.hlc(bigint) IS 'the clocks value of that number: milliseconds since 1970 times 65536, and the counter';
COMMENT ON FUNCTION schemadrift.timestamptz(schemadrift.hlc) IS 'its time, without the counter';

CREATE OPERATOR schemadrift.= (
	LEFTARG = schemadrift.hlc, RIGHTARG = schemadrift.hlc, FUNCTION = schemadrift.hlc_eq,
	COMMUTATOR = OPERATOR(schemadrift.=), NEGATOR = OPERATOR(schemadrift.<>), RESTRICT = eqsel, JOIN = eqjoinsel, HASHES, MERGES
);
CREATE OPERATOR schemadrift.<> (
	LEFTARG = schemadrift.hlc, RIGHTARG = schemadrift.hlc, FUNCTION = schemadrift.hlc_ne,
	COMMUTATOR = OPERATOR(schemadrift.<>), NEGATOR = OPERATOR(schemadrift.=), RESTRICT = neqsel, JOIN = neqjoinsel
);
CREATE OPERATOR schemadrift.< (
	LEFTARG = schemadrift.hlc, RIGHTARG = schemadrift.hlc, FUNCTION = schemadrift.hlc_lt,
	COMMUTATOR = OPERATOR(schemadrift.>), NEGATOR = OPERATOR(schemadrift.>=), RESTRICT = scalarltsel, JOIN = scalarltjoinsel
);
CREATE OPERATOR schemadrift.<= (
	LEFTARG = schemadrift.hlc, RIGHTARG = schemadrift.hlc, FUNCTION = schemadrift.hlc_le,
	COMMUTATOR = OPERATOR(schemadrift.>=), NEGATOR = OPERATOR(schemadrift.>), RESTRICT = scalarlesel, JOIN = scalarlejoinsel
);
CREATE OPERATOR schemadrift.> (
	LEFTARG = schemadrift.hlc, RIGHTARG = schemadrift.hlc, FUNCTION = schemadrift.hlc_gt,
	COMMUTATOR = OPERATOR(schemadrift.<), NEGATOR = OPERATOR(schemadrift.<=), RESTRICT = scalargtsel, JOIN = scalargtjoinsel
);
CREATE OPERATOR schemadrift.>= (
	LEFTARG = schemadrift.hlc, RIGHTARG = schemadrift.hlc, FUNCTION = schemadrift.hlc_ge,
	COMMUTATOR = OPERATOR(schemadrift.<=), NEGATOR = OPERATOR(schemadrift.<), RESTRICT = scalargesel, JOIN = scalargejoinsel
);

COMMENT ON OPERATOR schemadrift.= (schemadrift.hlc, schemadrift.hlc) IS 'the same';
COMMENT ON OPERATOR schemadrift.<> (schemadrift.hlc, schemadrift.hlc) IS 'not the same';
COMMENT ON OPERATOR schemadrift.< (schemadrift.hlc, schemadrift.hlc) IS 'earlier';
COMMENT ON OPERATOR schemadrift.<= (schemadrift.hlc, schemadrift.hlc) IS 'earlier or the same';
COMMENT ON OPERATOR schemadrift.> (schemadrift.hlc, schemadrift.hlc) IS 'later';
COMMENT ON OPERATOR schemadrift.>= (schemadrift.hlc, schemadrift.hlc) IS 'later or the same';

CREATE OPERATOR CLASS schemadrift.hlc_ops DEFAULT FOR TYPE schemadrift.hlc USING btree AS
	OPERATOR 1 schemadrift.<,
	OPERATOR 2 schemadrift.<=,
	OPERATOR 3 schemadrift.=,
	OPERATOR 4 schemadrift.>=,
	OPERATOR 5 schemadrift.>,
	FUNCTION 1 schemadrift.hlc_cmp(schemadrift.hlc, schemadrift.hlc),
	FUNCTION 2 pg_catalog.btint8sortsupport(internal),
	FUNCTION 4 pg_catalog.btequalimage(oid);
CREATE OPERATOR CLASS schemadrift.hlc_ops DEFAULT FOR TYPE schemadrift.hlc USING hash AS
	OPERATOR 1 schemadrift.=,
	FUNCTION 1 schemadrift.hlc_hash(schemadrift.hlc),
	FUNCTION 2 schemadrift.hlc_hash_extended(schemadrift.hlc, bigint);
COMMENT ON OPERATOR CLASS schemadrift.hlc_ops USING btree IS 'order of hybrid clocks';
COMMENT ON OPERATOR FAMILY schemadrift.hlc_ops USING btree IS 'order of hybrid clocks';
COMMENT ON OPERATOR CLASS schemadrift.hlc_ops USING hash IS 'equality of hybrid clocks';
COMMENT ON OPERATOR FAMILY schemadrift.hlc_ops USING hash IS 'equality of hybrid clocks';

CREATE AGGREGATE schemadrift.max(schemadrift.hlc) (
	SFUNC = schemadrift.hlc_larger, STYPE = schemadrift.hlc, COMBINEFUNC = schemadrift.hlc_larger,
	SORTOP = OPERATOR(schemadrift.>), PARALLEL = safe
);
CREATE AGGREGATE schemadrift.min(schemadrift.hlc) (
	SFUNC = schemadrift.hlc_smaller, STYPE = schemadrift.hlc, COMBINEFUNC = schemadrift.hlc_smaller,
	SORTOP = OPERATOR(schemadrift.<), PARALLEL = safe
);
COMMENT ON AGGREGATE schemadrift.max(schemadrift.hlc) IS 'the latest';
COMMENT ON AGGREGATE schemadrift.min(schemadrift.hlc) IS 'the earliest';

CREATE CAST (bigint AS schemadrift.hlc) WITH FUNCTION schemadrift.hlc(bigint);
CREATE CAST (schemadrift.hlc AS bigint) WITHOUT FUNCTION;
CREATE CAST (schemadrift.hlc AS timestamptz) WITH FUNCTION schemadrift.timestamptz(schemadrift.hlc);
COMMENT ON CAST (bigint AS schemadrift.hlc) IS 'milliseconds since 1970 times 65536, and the counter';
COMMENT ON CAST (schemadrift.hlc AS bigint) IS 'milliseconds since 1970 times 65536, and the counter';
COMMENT ON CAST (schemadrift.hlc AS timestamptz) IS 'its time, without the counter';
