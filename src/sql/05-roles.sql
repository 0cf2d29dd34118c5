-- Roles: made if absent, without members, and kept on DROP EXTENSION (other databases of the server may use
-- them).  They are roles of the whole server, so each server of a group has its own.

DO $$
DECLARE
	r text;
BEGIN
	FOREACH r IN ARRAY ARRAY['schemadrift_admin', 'schemadrift_migrator', 'schemadrift_monitor', 'schemadrift_peer']
	LOOP
		BEGIN
			IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = r) THEN
				EXECUTE pg_catalog.format('CREATE ROLE %I NOLOGIN', r);
			END IF;
		EXCEPTION
			-- CREATE EXTENSION in another database at the same moment
			WHEN duplicate_object OR unique_violation THEN NULL;
		END;
	END LOOP;

	IF NOT pg_catalog.pg_has_role('pg_monitor', 'schemadrift_monitor', 'MEMBER') THEN
		GRANT schemadrift_monitor TO pg_monitor;
	END IF;
END
$$;

COMMENT ON ROLE schemadrift_admin IS
	'schemadrift: membership and policy of the group, break-glass; makes this server connect where it says: grant it like superuser';
COMMENT ON ROLE schemadrift_migrator IS 'schemadrift: apply, revert, retry';
COMMENT ON ROLE schemadrift_monitor IS 'schemadrift: the views, without migration texts and addresses';
COMMENT ON ROLE schemadrift_peer IS 'schemadrift: the calls of other regions; for the roles they log in as';

-- What is in here is opened to these roles function by function and view by view, and to nobody else.
GRANT USAGE ON SCHEMA schemadrift TO PUBLIC;
GRANT USAGE ON SCHEMA schemadrift_rpc TO schemadrift_peer;
