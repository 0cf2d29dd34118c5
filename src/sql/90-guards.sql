-- Last: every table of the store gets the guards, whichever fragment made it; in an upgrade those that have none yet.
DO $$
DECLARE
	t regclass;
BEGIN
	FOR t IN SELECT oid FROM pg_catalog.pg_class c
			 WHERE relnamespace = 'schemadrift_store'::regnamespace AND relkind = 'r' AND NOT EXISTS
				(SELECT FROM pg_catalog.pg_trigger g WHERE g.tgrelid = c.oid AND g.tgname = 'guard_row')
	LOOP
		EXECUTE pg_catalog.format('CREATE TRIGGER guard_row BEFORE INSERT OR UPDATE OR DELETE ON %s
			FOR EACH ROW EXECUTE FUNCTION schemadrift_store.guard_row()', t);
		EXECUTE pg_catalog.format('ALTER TABLE %s ENABLE REPLICA TRIGGER guard_row', t);
		EXECUTE pg_catalog.format('CREATE TRIGGER guard_truncate BEFORE TRUNCATE ON %s
			FOR EACH STATEMENT EXECUTE FUNCTION schemadrift_store.guard_truncate()', t);
		EXECUTE pg_catalog.format('ALTER TABLE %s ENABLE ALWAYS TRIGGER guard_truncate', t);
	END LOOP;

	-- pg_read_all_data and pg_write_all_data need no GRANT: without a policy they see and change no row.  Who writes the log says
	-- what runs, as whom.  Our own code is a superuser here, to whom policies do not apply.  Not by ALTER TABLE, whose lock would
	-- keep this region from voting until an upgrade's transaction ends: like a GRANT, it concerns those who come later.
	UPDATE pg_catalog.pg_class SET relrowsecurity = true
		WHERE relnamespace = 'schemadrift_store'::regnamespace AND relkind = 'r' AND NOT relrowsecurity;
END
$$;
