-- What a region has of its own becomes the group's.

CREATE FUNCTION schemadrift.accept_drift(region text, object text) RETURNS bigint
	LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'sd_accept_drift';
COMMENT ON FUNCTION schemadrift.accept_drift(text, text) IS
	'run in the drifted region: makes a drifted object, with what hangs on it, the group''s, and returns the version; object: its identity, or kind and identity; * is all of them';

REVOKE ALL ON FUNCTION schemadrift.accept_drift(text, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION schemadrift.accept_drift(text, text) TO schemadrift_admin;
