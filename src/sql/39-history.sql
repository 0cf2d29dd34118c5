-- Rows in which migration tools write down what they have done: those of two regions side by side.

CREATE FUNCTION schemadrift_rpc.history_rows(protocol integer, OUT schema_name text, OUT table_name text, OUT hash bytea)
	RETURNS SETOF record LANGUAGE c VOLATILE SECURITY DEFINER PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'sd_rpc_history_rows';
COMMENT ON FUNCTION schemadrift_rpc.history_rows IS
	'a sum over the rows of each table in which a migration tool writes down what it has done; for compare and join';
