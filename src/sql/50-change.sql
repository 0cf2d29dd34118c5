-- Changing the schema, and what became of it.

CREATE FUNCTION schemadrift.apply(name text, up text, down text DEFAULT NULL, options jsonb DEFAULT '{}')
	RETURNS bigint
	LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'sd_apply';
COMMENT ON FUNCTION schemadrift.apply(text, text, text, jsonb) IS
	'runs the text here and, when this transaction commits, in every region; returns its version; options: timeout, require, barrier, allow, freeze_time, as in {"timeout": "30s", "allow": ["rule"]}';

CREATE FUNCTION schemadrift.revert(name text) RETURNS bigint
	LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'sd_revert';
COMMENT ON FUNCTION schemadrift.revert(text) IS
	'takes a migration back, as the version returned: its "down" where it was applied, a skip where it was not';

CREATE FUNCTION schemadrift.retry(name text DEFAULT NULL) RETURNS void
	LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'sd_retry';
COMMENT ON FUNCTION schemadrift.retry(text) IS 'in a halted region: try now to apply the version that failed';

CREATE FUNCTION schemadrift.mark_applied(name text, reason text) RETURNS void
	LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'sd_mark_applied';
COMMENT ON FUNCTION schemadrift.mark_applied(text, text) IS
	'in a halted region: the version that failed was done by hand; accepted if the schema is what it must be';

CREATE FUNCTION schemadrift.outcome(entry_id uuid) RETURNS text
	LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'sd_outcome_id';
COMMENT ON FUNCTION schemadrift.outcome(uuid) IS
	'applied, chosen, rejected or undecided; null: never heard of; an answer other than undecided never changes its meaning';

CREATE FUNCTION schemadrift.outcome(name text) RETURNS text
	LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'sd_outcome_name';
COMMENT ON FUNCTION schemadrift.outcome(text) IS 'the same for the newest attempt of a migration, by its name; or by an entry''s id, where it looks like one';

CREATE PROCEDURE schemadrift.wait_for(version bigint, regions text[] DEFAULT NULL, timeout interval DEFAULT '1 min')
	LANGUAGE c AS 'MODULE_PATHNAME', 'sd_wait_for';
COMMENT ON PROCEDURE schemadrift.wait_for(bigint, text[], interval) IS
	'returns when these regions (default: all that serve) have applied the version; holds no snapshot while it waits';

REVOKE ALL ON FUNCTION schemadrift.apply(text, text, text, jsonb), schemadrift.revert(text), schemadrift.retry(text),
	schemadrift.mark_applied(text, text), schemadrift.outcome(uuid), schemadrift.outcome(text) FROM PUBLIC;
REVOKE ALL ON PROCEDURE schemadrift.wait_for(bigint, text[], interval) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION schemadrift.apply(text, text, text, jsonb), schemadrift.revert(text), schemadrift.retry(text)
	TO schemadrift_migrator;
GRANT EXECUTE ON FUNCTION schemadrift.retry(text), schemadrift.mark_applied(text, text) TO schemadrift_admin;
-- whoever may change the schema by plain DDL may be left with an unknown outcome, and must be able to ask
GRANT EXECUTE ON FUNCTION schemadrift.outcome(uuid), schemadrift.outcome(text) TO PUBLIC;
GRANT EXECUTE ON PROCEDURE schemadrift.wait_for(bigint, text[], interval)
	TO schemadrift_admin, schemadrift_migrator, schemadrift_monitor;
