-- Who leads.

CREATE FUNCTION schemadrift_store.lease(OUT holder text, OUT ballot text, OUT expires_in interval, OUT held_by integer,
	OUT held_for interval)
	RETURNS SETOF record LANGUAGE c VOLATILE PARALLEL UNSAFE ROWS 1 AS 'MODULE_PATHNAME', 'sd_lease_rows';
COMMENT ON FUNCTION schemadrift_store.lease() IS 'row of view schemadrift.lease';

CREATE VIEW schemadrift.lease AS SELECT * FROM schemadrift_store.lease();
COMMENT ON VIEW schemadrift.lease IS 'the region that leads: it changes the schema without asking first; no row: nobody does just now';
COMMENT ON COLUMN schemadrift.lease.holder IS 'region that has the lease, as far as this region knows';
COMMENT ON COLUMN schemadrift.lease.ballot IS 'round, region and nonce under which it proposes';
COMMENT ON COLUMN schemadrift.lease.expires_in IS 'time until it runs out, unless it is used before';
COMMENT ON COLUMN schemadrift.lease.held_by IS 'process there that has a schema change open; null: none has';
COMMENT ON COLUMN schemadrift.lease.held_for IS 'for how long it has had it open';

CREATE FUNCTION schemadrift.transfer_lease(region text) RETURNS void
	LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'sd_transfer_lease';
COMMENT ON FUNCTION schemadrift.transfer_lease(text) IS
	'hands leadership to a region, between changes; a region that changes the schema takes it by itself';

REVOKE ALL ON FUNCTION schemadrift.transfer_lease(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION schemadrift.transfer_lease(text) TO schemadrift_admin;
GRANT SELECT ON schemadrift.lease TO schemadrift_admin, schemadrift_migrator, schemadrift_monitor;
GRANT EXECUTE ON FUNCTION schemadrift_store.lease() TO schemadrift_admin, schemadrift_migrator, schemadrift_monitor;
