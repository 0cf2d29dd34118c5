-- What a version runs; for those who may see it, which the function itself decides.

CREATE FUNCTION schemadrift.migration_text(version bigint, OUT up text, OUT down text) RETURNS record
	LANGUAGE c STABLE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'sd_migration_text';
COMMENT ON FUNCTION schemadrift.migration_text(bigint) IS
	'the statements of a version, and those that take it back; null: it has none, or they are not kept here; for administrators, migrators and its author';
GRANT EXECUTE ON FUNCTION schemadrift.migration_text(bigint) TO PUBLIC;
