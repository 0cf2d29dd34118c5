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
