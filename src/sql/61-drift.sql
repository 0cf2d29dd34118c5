-- Objects that are otherwise than the log says, in all regions as far as this one knows.  The definitions themselves, which for
-- functions are source, are for those who may read all texts of migrations: drift_text().

CREATE FUNCTION schemadrift_store.differing(a text, b text) RETURNS text
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'sd_differing';
COMMENT ON FUNCTION schemadrift_store.differing(text, text) IS 'names of the properties in which two canonical definitions differ';

CREATE VIEW schemadrift.drift AS
	SELECT d.region, d.kind AS object_type, d.identity,
		CASE WHEN d.expected IS NULL THEN 'extra' WHEN d.actual IS NULL THEN 'missing' ELSE 'changed' END AS difference,
		CASE WHEN d.expected IS NOT NULL AND d.actual IS NOT NULL THEN
			coalesce(schemadrift_store.differing(d.expected_definition, d.actual_definition), '(not known yet)') END AS property,
		d.since::timestamptz(0) AS since,
		CASE WHEN d.region = s.region THEN (SELECT nullif(b.author, '') FROM schemadrift_store.bypass b WHERE b.n = d.change)
			ELSE d.author END AS by,
		CASE WHEN d.acknowledged IS NOT NULL THEN 'none needed: ' || d.acknowledged
			ELSE pg_catalog.format('SELECT * FROM schemadrift.repair_plan(%L)', d.region) END AS remedy
	FROM schemadrift_store.drift d CROSS JOIN schemadrift_store.self s
	UNION ALL
	SELECT s.region, NULL, NULL, 'unknown', NULL, b.at::timestamptz(0), nullif(b.author, ''),
		'SELECT * FROM schemadrift.verify()'
	FROM schemadrift_store.bypass b CROSS JOIN schemadrift_store.self s
	WHERE b.settled IS NULL AND NOT EXISTS (SELECT FROM schemadrift_store.drift d WHERE d.region = s.region AND d.change = b.n)
	ORDER BY 1, 2, 3;
COMMENT ON VIEW schemadrift.drift IS
	'objects that are otherwise than the log says, in every region as this one knows it; no row: no drift; definitions: drift_text()';
COMMENT ON COLUMN schemadrift.drift.region IS 'where; of another region: as it told last';
COMMENT ON COLUMN schemadrift.drift.object_type IS 'kind of object; null: not known what a change outside the log did';
COMMENT ON COLUMN schemadrift.drift.identity IS 'its name';
COMMENT ON COLUMN schemadrift.drift.difference IS 'there it is missing, extra or changed, measured by the log; unknown: not known yet what was changed';
COMMENT ON COLUMN schemadrift.drift.property IS 'of a changed object: in what; (not known yet): no region has told yet how it is by the log';
COMMENT ON COLUMN schemadrift.drift.since IS 'when that was seen first';
COMMENT ON COLUMN schemadrift.drift.by IS 'who made it so; null: not known';
COMMENT ON COLUMN schemadrift.drift.remedy IS 'what to type; the other way out, if it shall be so everywhere: schemadrift.accept_drift(region, object)';

CREATE FUNCTION schemadrift.drift_text(of_region text DEFAULT NULL, object text DEFAULT NULL, OUT region text, OUT object_type text,
	OUT identity text, OUT expected text, OUT actual text)
	RETURNS SETOF record LANGUAGE sql STABLE SECURITY DEFINER PARALLEL UNSAFE ROWS 10
BEGIN ATOMIC
	SELECT d.region, d.kind, d.identity, d.expected_definition, d.actual_definition FROM schemadrift_store.drift d
		WHERE (of_region IS NULL OR d.region = of_region) AND (object IS NULL OR object IN (d.identity, d.kind || ' ' || d.identity))
		ORDER BY d.region, d.kind, d.identity;
END;
COMMENT ON FUNCTION schemadrift.drift_text(text, text) IS
	'rows of view drift with both canonical definitions: by the log, and as it is; null: there is none, or it is not known yet';

REVOKE ALL ON FUNCTION schemadrift_store.differing(text, text), schemadrift.drift_text(text, text) FROM PUBLIC;
GRANT SELECT ON schemadrift.drift TO schemadrift_admin, schemadrift_migrator, schemadrift_monitor;
GRANT EXECUTE ON FUNCTION schemadrift_store.differing(text, text) TO schemadrift_admin, schemadrift_migrator, schemadrift_monitor;
GRANT EXECUTE ON FUNCTION schemadrift.drift_text(text, text) TO schemadrift_admin, schemadrift_migrator;
