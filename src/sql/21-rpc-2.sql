-- Calls that protocol 2 added, beside those of protocol 1 (20-rpc.sql), which older regions go on making: a released
-- signature is never changed, neither its arguments nor its columns.

CREATE FUNCTION schemadrift_rpc.prepare(protocol integer, group_id uuid, generation integer, callee text,
	caller text, caller_incarnation integer, known_vote_seq bigint,
	round bigint, nonce bigint, version bigint, chain bytea,
	lease_ms integer, over_round bigint, over_region text, over_nonce bigint,
	OUT answer text, OUT incarnation integer, OUT vote_seq bigint, OUT at_version bigint,
	OUT ballot_round bigint, OUT ballot_region text, OUT ballot_nonce bigint,
	OUT reason text, OUT entry_chain bytea, OUT body bytea, OUT left_ms integer)
	RETURNS SETOF record LANGUAGE c VOLATILE SECURITY DEFINER PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'sd_rpc_prepare';
COMMENT ON FUNCTION schemadrift_rpc.prepare(integer, uuid, integer, text, text, integer, bigint, bigint, bigint, bigint, bytea,
	integer, bigint, text, bigint) IS
	'phase 1: promise a ballot; reports what was accepted';

CREATE FUNCTION schemadrift_rpc.accept(protocol integer, group_id uuid, generation integer, callee text,
	caller text, caller_incarnation integer, known_vote_seq bigint,
	round bigint, nonce bigint, version bigint, chain bytea, entry bytea, lease_ms integer,
	OUT answer text, OUT incarnation integer, OUT vote_seq bigint, OUT at_version bigint,
	OUT ballot_round bigint, OUT ballot_region text, OUT ballot_nonce bigint,
	OUT reason text, OUT entry_chain bytea, OUT body bytea, OUT left_ms integer)
	RETURNS SETOF record LANGUAGE c VOLATILE SECURITY DEFINER PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'sd_rpc_accept';
COMMENT ON FUNCTION schemadrift_rpc.accept(integer, uuid, integer, text, text, integer, bigint, bigint, bigint, bigint, bytea, bytea, integer) IS
	'phase 2: vote for an entry';

CREATE FUNCTION schemadrift_rpc.exchange(protocol integer, group_id uuid, generation integer, callee text,
	caller text, caller_incarnation integer, known_vote_seq bigint,
	boot_id bigint, head bigint, applied bigint, digest bytea, own_vote_seq bigint, hlc bigint,
	state text, halted_at bigint, attempts integer, halt_error text, names_seen bigint, notes text,
	OUT incarnation integer, OUT peer_boot_id bigint, OUT peer_head bigint, OUT peer_applied bigint,
	OUT peer_digest bytea, OUT vote_seq bigint, OUT peer_hlc bigint, OUT peer_state text,
	OUT peer_halted_at bigint, OUT peer_attempts integer, OUT peer_halt_error text,
	OUT names_now bigint, OUT names text, OUT peer_notes text)
	RETURNS record LANGUAGE c VOLATILE SECURITY DEFINER PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'sd_rpc_exchange';
COMMENT ON FUNCTION schemadrift_rpc.exchange(integer, uuid, integer, text, text, integer, bigint, bigint, bigint, bigint, bytea, bigint,
	bigint, text, bigint, integer, text, bigint, text) IS
	'heartbeat: both regions tell how far they are; writes nothing';

CREATE FUNCTION schemadrift_rpc.pulse(pulse bigint) RETURNS bigint
	LANGUAGE c VOLATILE SECURITY DEFINER PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'sd_rpc_pulse';
COMMENT ON FUNCTION schemadrift_rpc.pulse IS
	'heartbeat: both regions tell again what they told in the exchange of that number, in this session; the time here, in microseconds since 2000; null: make an exchange';

CREATE FUNCTION schemadrift_rpc.handover(protocol integer, group_id uuid, generation integer, callee text,
	caller text, caller_incarnation integer, known_vote_seq bigint,
	round bigint, nonce bigint, waited_ms bigint, tried_round bigint, tried_nonce bigint,
	OUT released boolean, OUT pid integer, OUT subject text, OUT held_ms bigint, OUT protected_ms bigint, OUT next text,
	OUT upto bigint)
	RETURNS record LANGUAGE c VOLATILE SECURITY DEFINER PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'sd_rpc_handover';
COMMENT ON FUNCTION schemadrift_rpc.handover IS 'a region that wants to change the schema asks for the lease; writes nothing';

CREATE FUNCTION schemadrift_rpc.lead(protocol integer, group_id uuid, generation integer, callee text,
	caller text, caller_incarnation integer, known_vote_seq bigint)
	RETURNS void LANGUAGE c VOLATILE SECURITY DEFINER PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'sd_rpc_lead';
COMMENT ON FUNCTION schemadrift_rpc.lead IS 'this region shall take the lease';
