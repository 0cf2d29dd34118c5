/*
 * canonical_fields.c: what canonical text does with each field of the server's node types; see canonical.c.
 *
 * A field that a later major adds needs a row here only if it holds an OID or says nothing of its own.
 */
#include "compat.h"

#include "ddl/canonical_writer.h"
#include "ddl/names.h"

typedef struct FieldRule
{
	const char *field;
	SdTreatment	treatment;
} FieldRule;

static const FieldRule field_rules[] = {
	{"aggargtypes", SD_FIELD_SKIP},
	{"aggcollid", SD_FIELD_SKIP},
	{"aggfnoid", SD_FIELD_FUNCTION},
	{"aggno", SD_FIELD_SKIP},
	{"aggsplit", SD_FIELD_SKIP},
	{"aggtransno", SD_FIELD_SKIP},
	{"aggtranstype", SD_FIELD_SKIP},
	{"aggtype", SD_FIELD_SKIP},
	{"alias", SD_FIELD_SKIP},
	{"array_collid", SD_FIELD_SKIP},
	{"array_typeid", SD_FIELD_SKIP},
	{"canSetTag", SD_FIELD_SKIP},
	{"casecollid", SD_FIELD_SKIP},
	{"casetype", SD_FIELD_SKIP},
	{"checkAsUser", SD_FIELD_SKIP},
	{"coalescecollid", SD_FIELD_SKIP},
	{"coalescetype", SD_FIELD_SKIP},
	{"coerceformat", SD_FIELD_SKIP},
	{"coercionformat", SD_FIELD_SKIP},
	{"colCollations", SD_FIELD_SKIP},
	{"colTypes", SD_FIELD_SKIP},
	{"colTypmods", SD_FIELD_SKIP},
	{"colcollations", SD_FIELD_SKIP},
	{"collOid", SD_FIELD_COLLATION},
	{"collation", SD_FIELD_SKIP},
	{"colnames", SD_FIELD_SKIP},
	{"coltypes", SD_FIELD_TYPE},
	{"constraint", SD_FIELD_CONSTRAINT},
	{"constraintDeps", SD_FIELD_CONSTRAINT},
	{"convertformat", SD_FIELD_SKIP},
	{"ctecolcollations", SD_FIELD_SKIP},
	{"ctecolnames", SD_FIELD_SKIP},
	{"ctecoltypes", SD_FIELD_SKIP},
	{"ctecoltypmods", SD_FIELD_SKIP},
	{"cterefcount", SD_FIELD_SKIP},
	{"element_typeid", SD_FIELD_SKIP},
	{"elemfuncid", SD_FIELD_FUNCTION},
	{"endInRangeFunc", SD_FIELD_FUNCTION},
	{"eqop", SD_FIELD_OPERATOR},
	{"eref", SD_FIELD_SKIP},
	{"exclRelTlist", SD_FIELD_SKIP},
	{"extraUpdatedCols", SD_FIELD_SKIP},
	{"funccolcollations", SD_FIELD_SKIP},
	{"funccolcount", SD_FIELD_SKIP},
	{"funccollid", SD_FIELD_SKIP},
	{"funccoltypes", SD_FIELD_TYPE},
	{"funcformat", SD_FIELD_SKIP},
	{"funcid", SD_FIELD_FUNCTION},
	{"funcresulttype", SD_FIELD_SKIP},
	{"funcretset", SD_FIELD_SKIP},
	{"groupexprs", SD_FIELD_SKIP},
	{"hasAggs", SD_FIELD_SKIP},
	{"hasForUpdate", SD_FIELD_SKIP},
	{"hasGroupRTE", SD_FIELD_SKIP},
	{"hasModifyingCTE", SD_FIELD_SKIP},
	{"hasRowSecurity", SD_FIELD_SKIP},
	{"hasSubLinks", SD_FIELD_SKIP},
	{"hasTargetSRFs", SD_FIELD_SKIP},
	{"hasWindowFuncs", SD_FIELD_SKIP},
	{"hashable", SD_FIELD_SKIP},
	{"hashfuncid", SD_FIELD_SKIP},
	{"inFromCl", SD_FIELD_SKIP},
	{"inRangeColl", SD_FIELD_SKIP},
	{"infercollid", SD_FIELD_COLLATION},
	{"inferopclass", SD_FIELD_OPCLASS},
	{"inputcollid", SD_FIELD_SKIP},
	{"inputcollids", SD_FIELD_SKIP},
	{"insertedCols", SD_FIELD_SKIP},
	{"isNatural", SD_FIELD_SKIP},
	{"join_using_alias", SD_FIELD_SKIP},
	{"joinaliasvars", SD_FIELD_SKIP},
	{"joinleftcols", SD_FIELD_SKIP},
	{"joinrightcols", SD_FIELD_SKIP},
	{"list_end", SD_FIELD_SKIP},
	{"list_start", SD_FIELD_SKIP},
	{"location", SD_FIELD_SKIP},
	{"matchKind", SD_FIELD_SKIP},
	{"matched", SD_FIELD_SKIP},
	{"minmaxcollid", SD_FIELD_SKIP},
	{"minmaxtype", SD_FIELD_SKIP},
	{"negfuncid", SD_FIELD_SKIP},
	{"opcollid", SD_FIELD_SKIP},
	{"operName", SD_FIELD_SKIP},
	{"opfamilies", SD_FIELD_OPFAMILY},
	{"opfuncid", SD_FIELD_SKIP},
	{"opno", SD_FIELD_OPERATOR},
	{"opnos", SD_FIELD_OPERATOR},
	{"opresulttype", SD_FIELD_SKIP},
	{"opretset", SD_FIELD_SKIP},
	{"paramcollid", SD_FIELD_SKIP},
	{"paramtype", SD_FIELD_TYPE},
	{"paramtypmod", SD_FIELD_MODIFIER},
	{"perminfoindex", SD_FIELD_SKIP},
	{"queryId", SD_FIELD_SKIP},
	{"querySource", SD_FIELD_SKIP},
	{"refcollid", SD_FIELD_SKIP},
	{"refcontainertype", SD_FIELD_SKIP},
	{"refelemtype", SD_FIELD_SKIP},
	{"refrestype", SD_FIELD_SKIP},
	{"reftypmod", SD_FIELD_SKIP},
	{"relabelformat", SD_FIELD_SKIP},
	{"relid", SD_FIELD_RELATION},
	{"relkind", SD_FIELD_SKIP},
	{"rellockmode", SD_FIELD_SKIP},
	{"requiredPerms", SD_FIELD_SKIP},
	{"resorigcol", SD_FIELD_SKIP},
	{"resorigtbl", SD_FIELD_SKIP},
	{"resultcollid", SD_FIELD_SKIP},
	{"resulttype", SD_FIELD_TYPE},
	{"resulttypmod", SD_FIELD_MODIFIER},
	{"returningNewAlias", SD_FIELD_SKIP},
	{"returningOldAlias", SD_FIELD_SKIP},
	{"reverse_sort", SD_FIELD_SKIP},
	{"row_format", SD_FIELD_SKIP},
	{"row_typeid", SD_FIELD_TYPE},
	{"rteperminfos", SD_FIELD_SKIP},
	{"rti", SD_FIELD_TABLE},
	{"rtindex", SD_FIELD_TABLE},
	{"securityQuals", SD_FIELD_SKIP},
	{"selectedCols", SD_FIELD_SKIP},
	{"seqid", SD_FIELD_RELATION},
	{"sortop", SD_FIELD_OPERATOR},
	{"startInRangeFunc", SD_FIELD_FUNCTION},
	{"stmt_len", SD_FIELD_SKIP},
	{"stmt_location", SD_FIELD_SKIP},
	{"tsmhandler", SD_FIELD_FUNCTION},
	{"type", SD_FIELD_TYPE},
	{"typeId", SD_FIELD_SKIP},
	{"typeMod", SD_FIELD_SKIP},
	{"typid", SD_FIELD_TYPE},
	{"typmod", SD_FIELD_MODIFIER},
	{"updatedCols", SD_FIELD_SKIP},
	{"usingClause", SD_FIELD_SKIP},
	{"varattnosyn", SD_FIELD_SKIP},
	{"varnosyn", SD_FIELD_SKIP},
	{"varnullingrels", SD_FIELD_SKIP},
	{"wincollid", SD_FIELD_SKIP},
	{"winfnoid", SD_FIELD_FUNCTION},
	{"wintype", SD_FIELD_SKIP},
};

/* Each field of each expression is looked up: a hash of where the rules are, with free places between. */
#define PLACES	512

StaticAssertDecl(lengthof(field_rules) < PLACES / 2 && lengthof(field_rules) < PG_UINT8_MAX, "the rules have room");

static unsigned
place_of(const char *field, int length)
{
	return ((unsigned char) field[0] * 31 + (unsigned char) field[length / 2] * 7 + (unsigned char) field[length - 1] + length * 61) %
		PLACES;
}

SdTreatment
sd_field_treatment(const SdNode *value)
{
	static uint8 places[PLACES];	/* number of a rule, from 1; 0: free */
	static bool filled = false;

	if (!filled)
	{
		for (size_t i = 0; i < lengthof(field_rules); i++)
		{
			unsigned	at = place_of(field_rules[i].field, strlen(field_rules[i].field));

			while (places[at])
				at = (at + 1) % PLACES;
			places[at] = i + 1;
		}
		filled = true;
	}
	if (value->field_length == 0)
		return SD_FIELD_COPY;
	for (unsigned at = place_of(value->field, value->field_length); places[at]; at = (at + 1) % PLACES)
	{
		const FieldRule *rule = &field_rules[places[at] - 1];

		if (strncmp(rule->field, value->field, value->field_length) == 0 && rule->field[value->field_length] == '\0')
			return rule->treatment;
	}
	return SD_FIELD_COPY;
}

static void
write_reference(StringInfo out, SdTreatment treatment, Oid oid)
{
	switch (treatment)
	{
		case SD_FIELD_FUNCTION:
			sd_append_function(out, oid);
			break;
		case SD_FIELD_OPERATOR:
			sd_append_operator(out, oid);
			break;
		case SD_FIELD_TYPE:
			sd_append_type(out, oid, -1);
			break;
		case SD_FIELD_COLLATION:
			sd_append_collation(out, oid);
			break;
		case SD_FIELD_OPCLASS:
			sd_append_opclass(out, oid);
			break;
		case SD_FIELD_OPFAMILY:
			sd_append_opfamily(out, oid);
			break;
		case SD_FIELD_RELATION:
			sd_append_relation(out, oid);
			break;
		case SD_FIELD_CONSTRAINT:
			sd_append_constraint(out, oid);
			break;
		default:
			Assert(false);
	}
}

/* An OID or a list "(o 1 2)" of them. */
void
sd_write_references(StringInfo out, SdTreatment treatment, const SdNode *value)
{
	if (value->kind != SD_NODE_LIST)
	{
		write_reference(out, treatment, sd_node_oid(value));
		return;
	}
	appendStringInfoChar(out, '(');
	for (int i = 1; i < value->nitems; i++)
	{
		if (i > 1)
			appendStringInfoChar(out, ' ');
		write_reference(out, treatment, sd_node_oid(&value->items[i]));
	}
	appendStringInfoChar(out, ')');
}
