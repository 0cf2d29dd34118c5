-- How a region is brought back to what the log says.

CREATE FUNCTION schemadrift_rpc.repair(protocol integer, kinds text[], identities text[], expected text[], definitions text[],
	OUT kind text, OUT identity text, OUT phase integer, OUT step_order integer, OUT statement text, OUT note text)
	RETURNS SETOF record LANGUAGE c VOLATILE SECURITY DEFINER PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'sd_rpc_repair';
COMMENT ON FUNCTION schemadrift_rpc.repair IS
	'statements that make objects of these definitions what they are here; phase null: the object here is not what is expected';

CREATE FUNCTION schemadrift.repair_plan(region text DEFAULT NULL, acknowledged boolean DEFAULT false,
	OUT step integer, OUT object_type text, OUT identity text, OUT statement text, OUT note text)
	RETURNS SETOF record
	LANGUAGE c VOLATILE PARALLEL UNSAFE ROWS 20 AS 'MODULE_PATHNAME', 'sd_repair_plan';
COMMENT ON FUNCTION schemadrift.repair_plan(text, boolean) IS
	'the statements that bring a region that drifted (default: this one) back to what the log says, to be read and run there; changes nothing; acknowledged: also what it was allowed to differ in when it joined';

REVOKE ALL ON FUNCTION schemadrift.repair_plan(text, boolean) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION schemadrift.repair_plan(text, boolean) TO schemadrift_admin, schemadrift_migrator;
