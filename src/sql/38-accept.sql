-- What a region has of its own becomes the group's.

CREATE FUNCTION schemadrift.accept_drift(region text, object text, down text DEFAULT NULL, loss text DEFAULT NULL) RETURNS bigint
	LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'sd_accept_drift';
COMMENT ON FUNCTION schemadrift.accept_drift(text, text, text, text) IS
	'run in the drifted region: makes a drifted object, with what hangs on it, the group''s, and returns the version; object: its identity, or kind and identity, * is all of them; down: the text that revert() will run; loss: why data of the other regions may be destroyed';

REVOKE ALL ON FUNCTION schemadrift.accept_drift(text, text, text, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION schemadrift.accept_drift(text, text, text, text) TO schemadrift_admin;
