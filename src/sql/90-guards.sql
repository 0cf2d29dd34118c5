-- Last: every table of the store gets the guards, whichever fragment made it.
DO $$
DECLARE
	t regclass;
BEGIN
	FOR t IN SELECT oid FROM pg_catalog.pg_class
			 WHERE relnamespace = 'schemadrift_store'::regnamespace AND relkind = 'r'
	LOOP
		EXECUTE pg_catalog.format('CREATE TRIGGER guard_row BEFORE INSERT OR UPDATE OR DELETE ON %s
			FOR EACH ROW EXECUTE FUNCTION schemadrift_store.guard_row()', t);
		EXECUTE pg_catalog.format('ALTER TABLE %s ENABLE REPLICA TRIGGER guard_row', t);
		EXECUTE pg_catalog.format('CREATE TRIGGER guard_truncate BEFORE TRUNCATE ON %s
			FOR EACH STATEMENT EXECUTE FUNCTION schemadrift_store.guard_truncate()', t);
		EXECUTE pg_catalog.format('ALTER TABLE %s ENABLE ALWAYS TRIGGER guard_truncate', t);
	END LOOP;
END
$$;
