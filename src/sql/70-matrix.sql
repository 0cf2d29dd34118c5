-- What each form of DDL locks, rewrites, breaks and needs: the rules of src/analysis/rules.tsv.

CREATE FUNCTION schemadrift_store.matrix(OUT rule text, OUT section text, OUT form text, OUT versions text, OUT here boolean,
	OUT lock text, OUT rewrite text, OUT scan text, OUT old_app text, OUT new_app text, OUT prepared text, OUT receives text,
	OUT sends text, OUT gate text, OUT undo text, OUT linters text, OUT note text, OUT safer text, OUT evidence text, OUT untested text,
	OUT example text)
	RETURNS SETOF record LANGUAGE c IMMUTABLE PARALLEL SAFE ROWS 250 AS 'MODULE_PATHNAME', 'sd_matrix_rows';
COMMENT ON FUNCTION schemadrift_store.matrix() IS 'rows of view schemadrift.compatibility_matrix';

CREATE VIEW schemadrift.compatibility_matrix AS
	SELECT rule, section, form, versions, here, lock, rewrite, scan, old_app, new_app, prepared, receives, sends, gate, undo, linters,
		note, safer, evidence, untested, example
	FROM schemadrift_store.matrix();
COMMENT ON VIEW schemadrift.compatibility_matrix IS
	'the rules: what each form of DDL locks, rewrites and breaks, and what regions must do together; explained in docs/analysis.md';
COMMENT ON COLUMN schemadrift.compatibility_matrix.rule IS 'id of the rule, the same for ever';
COMMENT ON COLUMN schemadrift.compatibility_matrix.section IS 'part of the matrix';
COMMENT ON COLUMN schemadrift.compatibility_matrix.form IS 'form of the statement';
COMMENT ON COLUMN schemadrift.compatibility_matrix.versions IS 'majors of PostgreSQL that this row holds for';
COMMENT ON COLUMN schemadrift.compatibility_matrix.here IS 'this server''s major is one of them';
COMMENT ON COLUMN schemadrift.compatibility_matrix.lock IS
	'lock on each relation, by what the relation is to the statement; error: the statement always fails; -: the row is about the text only';
COMMENT ON COLUMN schemadrift.compatibility_matrix.rewrite IS 'what is written anew while the lock is held';
COMMENT ON COLUMN schemadrift.compatibility_matrix.scan IS 'what is read as a whole while the lock is held';
COMMENT ON COLUMN schemadrift.compatibility_matrix.old_app IS 'does the old application work on the new schema: yes, no, depends';
COMMENT ON COLUMN schemadrift.compatibility_matrix.new_app IS
	'does the new application work on the old schema, as regions have it that are behind: yes, no, depends';
COMMENT ON COLUMN schemadrift.compatibility_matrix.prepared IS
	'what happens to statements that the old application has prepared: none; star fails (SELECT *, RETURNING *, COPY without columns); all fail; other results';
COMMENT ON COLUMN schemadrift.compatibility_matrix.receives IS
	'what logical replication does when the region that has the change receives rows from one that has not: works, works until used, stalls, wedges, diverges ...';
COMMENT ON COLUMN schemadrift.compatibility_matrix.sends IS '... and when the region that has the change sends rows to one that has not';
COMMENT ON COLUMN schemadrift.compatibility_matrix.gate IS
	'what regions must do together: G0 nothing, G1 all before it is used, G2 narrow the publication first, G3 drain first, G4 contract, G5 cut over, GD the result differs by region';
COMMENT ON COLUMN schemadrift.compatibility_matrix.undo IS 'does the inverse statement lose data';
COMMENT ON COLUMN schemadrift.compatibility_matrix.linters IS 'linters for a single database that warn';
COMMENT ON COLUMN schemadrift.compatibility_matrix.note IS 'what else is to be known';
COMMENT ON COLUMN schemadrift.compatibility_matrix.safer IS 'statements to run instead, in order; what is in angle brackets is to be filled in; null: none is safer';
COMMENT ON COLUMN schemadrift.compatibility_matrix.evidence IS 'measured, by definition, or inferred from a measured form of the same class';
COMMENT ON COLUMN schemadrift.compatibility_matrix.untested IS 'why no test runs the example on a real server; null: one does, on 15, 17 and 18';
COMMENT ON COLUMN schemadrift.compatibility_matrix.example IS 'a statement of this form';

GRANT SELECT ON schemadrift.compatibility_matrix TO schemadrift_admin, schemadrift_migrator, schemadrift_monitor;
GRANT EXECUTE ON FUNCTION schemadrift_store.matrix() TO schemadrift_admin, schemadrift_migrator, schemadrift_monitor;
