-- Knowing before it runs, in every region at once.

CREATE FUNCTION schemadrift_rpc.dry_run(protocol integer, group_id uuid, generation integer, callee text,
	caller text, caller_incarnation integer, known_vote_seq bigint,
	version bigint, up text, down text, run_as text, registered text, frozen_at timestamptz, origin_database text,
	OUT sqlstate text, OUT message text, OUT detail text, OUT hint text,
	OUT down_sqlstate text, OUT down_message text, OUT down_detail text, OUT down_hint text,
	OUT up_ms double precision, OUT down_ms double precision, OUT locks text,
	OUT before text, OUT after text, OUT restored text, OUT made text, OUT dropped text,
	OUT queries integer, OUT query_errors text, OUT query_warnings text, OUT query_notes text, OUT query_remedy text)
	RETURNS SETOF record LANGUAGE c VOLATILE SECURITY DEFINER PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'sd_rpc_dry_run';
COMMENT ON FUNCTION schemadrift_rpc.dry_run IS
	'runs a script as its author, under the rules by which entries are applied, and rolls it back; leaves nothing';

CREATE FUNCTION schemadrift.dry_run(up text, down text DEFAULT NULL, options jsonb DEFAULT '{}', OUT region text, OUT status text,
	OUT up_ms double precision, OUT down_ms double precision, OUT locks text, OUT fingerprint text, OUT same boolean, OUT restored boolean,
	OUT sqlstate text, OUT detail text, OUT remedy text, OUT queries integer)
	RETURNS SETOF record LANGUAGE c VOLATILE PARALLEL UNSAFE ROWS 3
	AS 'MODULE_PATHNAME', 'sd_dry_run';
COMMENT ON FUNCTION schemadrift.dry_run(text, text, jsonb) IS
	'runs a script, and its way back, in every region at once, and rolls it back: time, locks, whether all become the same, whether the way back restores';

REVOKE ALL ON FUNCTION schemadrift.dry_run(text, text, jsonb) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION schemadrift.dry_run(text, text, jsonb) TO schemadrift_admin, schemadrift_migrator;

CREATE FUNCTION schemadrift_rpc.preflight(protocol integer, group_id uuid, generation integer, callee text,
	caller text, caller_incarnation integer, known_vote_seq bigint,
	up text, needs text, run_as text, queries boolean, extensions text, frozen_at timestamptz,
	OUT check_name text, OUT status text, OUT detail text, OUT remedy text)
	RETURNS SETOF record LANGUAGE c VOLATILE SECURITY DEFINER PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'sd_rpc_preflight';
COMMENT ON FUNCTION schemadrift_rpc.preflight IS 'what may be in the way of a script in this region; changes nothing';

CREATE FUNCTION schemadrift.preflight(up text, options jsonb DEFAULT '{}', OUT check_name text, OUT region text, OUT status text, OUT detail text,
	OUT remedy text)
	RETURNS SETOF record LANGUAGE c VOLATILE PARALLEL UNSAFE ROWS 30
	AS 'MODULE_PATHNAME', 'sd_preflight_all';
COMMENT ON FUNCTION schemadrift.preflight(text, jsonb) IS
	'what may be in the way of a script, in every region at once; runs nothing of it';

REVOKE ALL ON FUNCTION schemadrift.preflight(text, jsonb) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION schemadrift.preflight(text, jsonb) TO schemadrift_admin, schemadrift_migrator;
