\echo Use "CREATE EXTENSION schemadrift" to load this file. \quit

-- Where the schema exists already, CREATE EXTENSION takes it.  Somebody else's would stay his: he could put a function beside
-- ours that fits a call better, and it would run with the caller's rights.
DO $$
BEGIN
	IF EXISTS (SELECT FROM pg_catalog.pg_namespace n JOIN pg_catalog.pg_roles r ON r.oid OPERATOR(pg_catalog.=) n.nspowner
			   WHERE n.nspname OPERATOR(pg_catalog.=) 'schemadrift'
				 AND (NOT r.rolsuper
					  OR EXISTS (SELECT FROM pg_catalog.aclexplode(n.nspacl) a LEFT JOIN pg_catalog.pg_roles g ON g.oid OPERATOR(pg_catalog.=) a.grantee
								 WHERE a.privilege_type OPERATOR(pg_catalog.=) 'CREATE' AND g.rolsuper IS NOT TRUE)
					  OR EXISTS (SELECT FROM pg_catalog.pg_depend d
								 WHERE d.refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_namespace'::pg_catalog.regclass
								   AND d.refobjid OPERATOR(pg_catalog.=) n.oid
								   AND d.classid OPERATOR(pg_catalog.<>) 'pg_catalog.pg_extension'::pg_catalog.regclass))) THEN
		RAISE EXCEPTION USING ERRCODE = 'duplicate_schema', MESSAGE = 'schema "schemadrift" exists already and is not empty, or others than superusers own it or may create in it',
			HINT = 'Look at what is in it; then DROP SCHEMA schemadrift.';
	END IF;
END
$$;

CREATE SCHEMA schemadrift_store;
CREATE SCHEMA schemadrift_rpc;
COMMENT ON SCHEMA schemadrift IS 'schemadrift: what people call and look at';
COMMENT ON SCHEMA schemadrift_store IS 'schemadrift: the log and the state of this region; written by the extension only';
COMMENT ON SCHEMA schemadrift_rpc IS 'schemadrift: calls between regions';
