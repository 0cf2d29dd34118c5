-- What is wrong, and numbers for a monitoring system.

CREATE FUNCTION schemadrift_store.alerts(OUT id text, OUT severity text, OUT region text, OUT what text, OUT since timestamptz,
	OUT remedy text)
	RETURNS SETOF record LANGUAGE c VOLATILE PARALLEL UNSAFE ROWS 5 AS 'MODULE_PATHNAME', 'sd_alert_rows';
COMMENT ON FUNCTION schemadrift_store.alerts() IS 'rows of view schemadrift.alerts';

CREATE FUNCTION schemadrift_store.counters(OUT region text, OUT name text, OUT reason text, OUT value bigint)
	RETURNS SETOF record LANGUAGE c VOLATILE PARALLEL UNSAFE ROWS 50 AS 'MODULE_PATHNAME', 'sd_counter_rows';
COMMENT ON FUNCTION schemadrift_store.counters() IS 'what happened in each region since its server''s start, as it told; for view schemadrift.metrics';

CREATE VIEW schemadrift.alerts AS
	SELECT id, severity, region, what, pg_catalog.date_trunc('second', since) AS since, remedy FROM schemadrift_store.alerts();
COMMENT ON VIEW schemadrift.alerts IS 'everything that is wrong now, as this region sees it; the worst first';
COMMENT ON COLUMN schemadrift.alerts.id IS 'what kind of alert: a word that stays the same, see docs/monitoring/alerts.md';
COMMENT ON COLUMN schemadrift.alerts.severity IS
	'critical (schema changes stop, or regions are not the same), warning (somebody has to do something), notice (to be known)';
COMMENT ON COLUMN schemadrift.alerts.region IS 'the region that it is about; null: this database, which is in no group';
COMMENT ON COLUMN schemadrift.alerts.what IS 'what is wrong, in words';
COMMENT ON COLUMN schemadrift.alerts.since IS 'since when, as far as this region knows; null: it does not';
COMMENT ON COLUMN schemadrift.alerts.remedy IS 'what to paste: statements, then a comment; "-- in eu" says where, if not here';

CREATE VIEW schemadrift.version_vectors AS
	SELECT region, relation, vector::schemadrift.version_vector AS vector, applied_version, outside AS outside_changes
	FROM schemadrift_store.regions() WHERE role <> 'witness';
COMMENT ON VIEW schemadrift.version_vectors IS 'which schema events each region''s schema contains, as it told';
COMMENT ON COLUMN schemadrift.version_vectors.region IS 'name of the region';
COMMENT ON COLUMN schemadrift.version_vectors.relation IS
	'compared with this region: equal, behind (it contains less), ahead, concurrent (each contains something that the other does not), unknown (a vector is too long to be told); null: not known';
COMMENT ON COLUMN schemadrift.version_vectors.vector IS
	'of each origin (region, ~n: its n-th incarnation) how many events: versions of the log, and its own changes outside of it';
COMMENT ON COLUMN schemadrift.version_vectors.applied_version IS 'version that its schema has followed the log to';
COMMENT ON COLUMN schemadrift.version_vectors.outside_changes IS 'changes outside the log among them, which no other region has';

CREATE VIEW schemadrift.metrics AS
	WITH r AS MATERIALIZED (SELECT *, pg_catalog.format('region="%s"', region) AS label FROM schemadrift_store.regions()),
		s AS MATERIALIZED (SELECT *, pg_catalog.format('region="%s"', region) AS label FROM schemadrift_store.status() WHERE region IS NOT NULL),
		a AS MATERIALIZED (SELECT * FROM schemadrift_store.alerts())
	SELECT m.name, m.labels, m.value::double precision AS value, m.type, m.help FROM (
		SELECT 'schemadrift_up', label, (state <> 'no_quorum' AND state <> 'void' AND state <> 'not_joined')::integer, 'gauge',
			'1: this region can take part in schema changes' FROM s
		UNION ALL SELECT 'schemadrift_head_version', label, head, 'gauge', 'newest version in this region''s log' FROM s
		UNION ALL SELECT 'schemadrift_stable_version', s.label,
			(SELECT pg_catalog.min(r.applied_version) FROM r WHERE r.role <> 'witness' AND NOT r.suspended), 'gauge',
			'version that all serving regions are known to have applied' FROM s
		UNION ALL SELECT 'schemadrift_region_state_info', pg_catalog.format('%s,state="%s"', label, state), 1, 'gauge',
			'state of the region, in the label; always 1' FROM r
		UNION ALL SELECT 'schemadrift_region_applied_version', label, applied_version, 'gauge',
			'version that the region''s schema has followed the log to' FROM r
		UNION ALL SELECT 'schemadrift_region_in_sync', label, in_sync::integer, 'gauge',
			'1: at the newest version, without drift' FROM r
		UNION ALL SELECT 'schemadrift_region_confidence', label, confidence, 'gauge',
			'how far what is shown of the region can be relied on, 0 to 1' FROM r
		UNION ALL SELECT 'schemadrift_region_silence_seconds', label,
			greatest(0, extract(epoch FROM pg_catalog.clock_timestamp() - last_heard)), 'gauge',
			'time since the region was last heard of' FROM r
		UNION ALL SELECT 'schemadrift_region_suspicion', label, suspicion, 'gauge',
			'phi: what the region''s silence says; 8: it is almost certainly gone' FROM r
		UNION ALL SELECT 'schemadrift_region_rtt_seconds', label, rtt_ms / 1000, 'gauge', 'round trip to the region, smoothed' FROM r
		UNION ALL SELECT 'schemadrift_region_rtt_min_seconds', label, rtt_min_ms / 1000, 'gauge', 'the least round trip of late' FROM r
		UNION ALL SELECT 'schemadrift_region_clock_offset_seconds', label, clock_offset_ms / 1000, 'gauge',
			'the region''s clock minus this one''s' FROM r
		UNION ALL SELECT 'schemadrift_region_clock_error_seconds', label, clock_error_ms / 1000, 'gauge',
			'by so much the offset may be wrong, at most' FROM r
		UNION ALL SELECT 'schemadrift_region_replication_lag_seconds', label, extract(epoch FROM replication_lag), 'gauge',
			'largest lag of the region''s replication' FROM r
		UNION ALL SELECT 'schemadrift_region_replication_lag_bytes', label, replication_lag_bytes, 'gauge',
			'the same in bytes of WAL, replication slots included' FROM r
		UNION ALL SELECT 'schemadrift_region_verified_timestamp_seconds', label, extract(epoch FROM verified_at), 'gauge',
			'when the region last compared its whole schema with its digests' FROM r
		UNION ALL SELECT 'schemadrift_region_drifted_objects', label, drifted, 'gauge',
			'objects of the region that are otherwise than the log says' FROM r
		UNION ALL SELECT 'schemadrift_region_outside_changes', label, outside, 'gauge',
			'changes outside the log that are part of the region''s schema' FROM r
		UNION ALL SELECT pg_catalog.format('schemadrift_region_%s_total', c.name),
			pg_catalog.concat(pg_catalog.format('region="%s"', c.region), ',reason="' || c.reason || '"'), c.value, 'counter',
			CASE c.name WHEN 'apply_failures' THEN 'attempts to apply a version that failed'
				WHEN 'apply_retries' THEN 'attempts to apply a version after one that failed'
				WHEN 'changes' THEN 'schema changes of the region that were decided'
				WHEN 'preemptions' THEN 'schema changes that ended with 40001, because another region was first'
				WHEN 'unknown_outcomes' THEN 'schema changes that ended with 40003'
				WHEN 'refusals' THEN 'schema changes that were refused, by reason'
				WHEN 'takeovers' THEN 'versions that the region decided for another one' END
			FROM schemadrift_store.counters() c
		UNION ALL SELECT 'schemadrift_alert_firing', pg_catalog.format('id="%s",region="%s",severity="%s"', id, region, severity), 1,
			'gauge', 'an alert of view alerts; always 1' FROM (SELECT DISTINCT id, region, severity FROM a) d
	) m(name, labels, value, type, help) WHERE m.value IS NOT NULL;
COMMENT ON VIEW schemadrift.metrics IS 'numbers for a monitoring system, named as Prometheus does; see docs/monitoring';
COMMENT ON COLUMN schemadrift.metrics.name IS 'name of the metric, with its unit; a counter ends in _total';
COMMENT ON COLUMN schemadrift.metrics.labels IS 'labels, as in region="eu-west"';
COMMENT ON COLUMN schemadrift.metrics.value IS 'the number, in the unit that the name says';
COMMENT ON COLUMN schemadrift.metrics.type IS 'gauge, or counter (since the start of that region''s server)';
COMMENT ON COLUMN schemadrift.metrics.help IS 'what it is';

GRANT SELECT ON schemadrift.alerts, schemadrift.version_vectors, schemadrift.metrics
	TO schemadrift_admin, schemadrift_migrator, schemadrift_monitor;
GRANT EXECUTE ON FUNCTION schemadrift_store.alerts(), schemadrift_store.counters()
	TO schemadrift_admin, schemadrift_migrator, schemadrift_monitor;
