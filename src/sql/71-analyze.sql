-- What a script would do, found without doing it.

CREATE TYPE schemadrift.step_analysis AS (
	step integer,
	line integer,
	command text,
	objects text[],
	verdict text,
	rule text,
	rules text[],
	lock text,
	rewrites text[],
	scans text[],
	backward_compatible boolean,
	forward_compatible boolean,
	gate text,
	reversible text,
	why text,
	safer text,
	restores text
);
COMMENT ON TYPE schemadrift.step_analysis IS 'what one statement of a script would do; see analyze()';
COMMENT ON COLUMN schemadrift.step_analysis.step IS 'number of the statement, from 1';
COMMENT ON COLUMN schemadrift.step_analysis.line IS 'line of the script at which it begins';
COMMENT ON COLUMN schemadrift.step_analysis.command IS 'command tag';
COMMENT ON COLUMN schemadrift.step_analysis.objects IS 'what it is about';
COMMENT ON COLUMN schemadrift.step_analysis.verdict IS 'safe, caution or unsafe';
COMMENT ON COLUMN schemadrift.step_analysis.rule IS 'the rule that decided: of view compatibility_matrix; or SD004 (cannot be coordinated), fails, local, roles, unknown, code, other, none';
COMMENT ON COLUMN schemadrift.step_analysis.rules IS 'all rules that it meets';
COMMENT ON COLUMN schemadrift.step_analysis.lock IS 'locks on relations that are there already, the strongest first';
COMMENT ON COLUMN schemadrift.step_analysis.rewrites IS 'relations that get new files with all rows, and indexes that are built again';
COMMENT ON COLUMN schemadrift.step_analysis.scans IS 'relations that are read from end to end, apart from those';
COMMENT ON COLUMN schemadrift.step_analysis.backward_compatible IS 'does the application of today work with it; null: it depends';
COMMENT ON COLUMN schemadrift.step_analysis.forward_compatible IS 'does an application that uses it work where it has not happened yet; null: it depends';
COMMENT ON COLUMN schemadrift.step_analysis.gate IS 'what regions must do together: G0 any order, G1 all and then use, G2 narrow publications first, G3 drain first, G4 contract, G5 cut over, GD differs by region; local; depends on code that was not looked at';
COMMENT ON COLUMN schemadrift.step_analysis.reversible IS 'what taking it back loses';
COMMENT ON COLUMN schemadrift.step_analysis.why IS 'the reasons of the verdict; null: none are needed';
COMMENT ON COLUMN schemadrift.step_analysis.safer IS 'what to run instead, in this order; null: nothing is safer';
COMMENT ON COLUMN schemadrift.step_analysis.restores IS 'can a down bring back exactly the schema of before: yes; rehearse, if it has the old definition to the letter; no; null: nothing to bring back';

CREATE FUNCTION schemadrift.analyze(up text) RETURNS SETOF schemadrift.step_analysis
	LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE ROWS 10
	AS 'MODULE_PATHNAME', 'sd_analyze_script';
COMMENT ON FUNCTION schemadrift.analyze(text) IS
	'what a script would lock, rewrite, break and leave behind, a row a statement; runs nothing and asks no other region';
-- whoever may change the schema by plain DDL may ask what it would do, and the gate asks that for him anyway; it shows nothing that
-- the catalogs do not
GRANT EXECUTE ON FUNCTION schemadrift.analyze(text) TO PUBLIC;
