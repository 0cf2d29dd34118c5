/*
 * clause.c: pieces of a statement's own text; see clause.h.
 *
 * Runs in a backend; no locking of its own.
 */
#include "compat.h"

#include "common/keywords.h"
#include "lib/stringinfo.h"
#include "parser/scanner.h"

#include "analysis/clause.h"

SdWords *
sd_words(const char *text, int start)
{
	SdWords    *words = palloc0(sizeof(SdWords));
	int			room = 64;
	core_yy_extra_type extra;
	core_YYSTYPE value;
	YYLTYPE		location;
	core_yyscan_t scanner = scanner_init(text, &extra, &ScanKeywords, ScanKeywordTokens);

	/* the parser has said it */
	extra.escape_string_warning = false;
	words->text = text;
	words->start = start;
	words->words = palloc(sizeof(SdWord) * room);
	while (core_yylex(&value, &location, scanner) != 0)
	{
		if (words->n == room)
		{
			room *= 2;
			words->words = repalloc_huge(words->words, sizeof(SdWord) * room);
		}
		/* the lexer has put an end to its own copy behind the word */
		words->words[words->n].from = location;
		words->words[words->n].to = location + (int) strlen(extra.scanbuf + location);
		words->n++;
	}
	scanner_finish(scanner);
	return words;
}

static bool
is_blank(const char *text, int from, int to)
{
	for (; from < to; from++)
	{
		if (!isspace((unsigned char) text[from]))
			return false;
	}
	return true;
}

char *
sd_words_whole(const SdWords *words)
{
	StringInfoData out;

	initStringInfo(&out);
	for (int i = 0; i < words->n; i++)
	{
		const SdWord *word = &words->words[i];
		int			before = i ? words->words[i - 1].to : word->from;

		if (is_blank(words->text, before, word->from))
			appendBinaryStringInfo(&out, words->text + before, word->from - before);
		else
			appendStringInfoChar(&out, memchr(words->text + before, '\n', word->from - before) ? '\n' : ' ');
		appendBinaryStringInfo(&out, words->text + word->from, word->to - word->from);
	}
	return out.data;
}

char *
sd_words_some(const SdWords *words, int from, int to)
{
	StringInfoData out;

	initStringInfo(&out);
	for (int i = from; i < to; i++)
	{
		const SdWord *word = &words->words[i];

		if (i > from && words->words[i - 1].to < word->from)
			appendStringInfoChar(&out, ' ');
		appendBinaryStringInfo(&out, words->text + word->from, word->to - word->from);
	}
	return out.data;
}

int
sd_words_at(const SdWords *words, int location)
{
	int			i = 0;

	while (i < words->n && words->words[i].from < location - words->start)
		i++;
	return i;
}

bool
sd_words_is(const SdWords *words, int i, const char *keyword)
{
	const SdWord *word = &words->words[i];

	return i < words->n && word->to - word->from == (int) strlen(keyword) &&
		pg_strncasecmp(words->text + word->from, keyword, word->to - word->from) == 0;
}

int
sd_words_comma(const SdWords *words, int i)
{
	for (int depth = 0; i < words->n; i++)
	{
		if (sd_words_is(words, i, "(") || sd_words_is(words, i, "["))
			depth++;
		else if (sd_words_is(words, i, ")") || sd_words_is(words, i, "]"))
			depth--;
		else if (depth == 0 && sd_words_is(words, i, ","))
			break;
	}
	return i;
}

int
sd_words_behind_name(const SdWords *words, int i)
{
	while (sd_words_is(words, i + 1, "."))
		i += 2;
	i++;
	if (sd_words_is(words, i, "*") || sd_words_is(words, i, ")"))
		i++;
	return i;
}

List *
sd_words_commands(const SdWords *words, const AlterTableStmt *stmt, char **head)
{
	int			at = sd_words_behind_name(words, sd_words_at(words, stmt->relation->location));
	List	   *commands = NIL;

	if (list_length(stmt->cmds) < 2)
		return NIL;
	*head = sd_words_some(words, 0, at);
	while (at < words->n)
	{
		int			end = sd_words_comma(words, at);

		commands = lappend(commands, sd_words_some(words, at, end));
		at = end + 1;
	}
	Assert(list_length(commands) == list_length(stmt->cmds));
	return list_length(commands) == list_length(stmt->cmds) ? commands : NIL;
}

/* Behind CONSTRAINT and its name. */
static int
behind_its_name(const SdWords *words, int at)
{
	return sd_words_is(words, at, "constraint") ? at + 2 : at;
}

static int
compare_places(const ListCell *a, const ListCell *b)
{
	return (lfirst_int(a) > lfirst_int(b)) - (lfirst_int(a) < lfirst_int(b));
}

/* Where the clause that begins there ends: before the next one. */
static int
end_of_clause(List *places, int at)
{
	ListCell   *cell;

	foreach(cell, places)
	{
		if (lfirst_int(cell) > at)
			return lfirst_int(cell);
	}
	return at;
}

/* Of the constraint before it: [NOT] DEFERRABLE, INITIALLY ..., [NOT] ENFORCED. */
static bool
is_attribute(const SdWords *words, int at)
{
	if (sd_words_is(words, at, "not"))
		at++;
	return sd_words_is(words, at, "deferrable") || sd_words_is(words, at, "initially") || sd_words_is(words, at, "enforced");
}

List *
sd_words_column(const SdWords *words, const ColumnDef *column, char **base)
{
	int			at = sd_words_at(words, column->location);
	List	   *places = list_make1_int(sd_words_comma(words, at));
	List	   *clauses = NIL;
	SdColumnClause *clause = NULL;
	ListCell   *cell;

	foreach(cell, column->constraints)
		places = lappend_int(places, sd_words_at(words, lfirst_node(Constraint, cell)->location));
	if (column->collClause)
		places = lappend_int(places, sd_words_at(words, column->collClause->location));
	list_sort(places, compare_places);
	*base = sd_words_some(words, at, end_of_clause(places, at));
	if (column->collClause)
	{
		at = sd_words_at(words, column->collClause->location);
		*base = psprintf("%s %s", *base, sd_words_some(words, at, end_of_clause(places, at)));
	}
	foreach(cell, column->constraints)
	{
		Constraint *constraint = lfirst_node(Constraint, cell);
		char	   *text;

		at = sd_words_at(words, constraint->location);
		text = sd_words_some(words, behind_its_name(words, at), end_of_clause(places, at));
		/* one that stands before any constraint is refused when the statement runs */
		if (clause == NULL || !is_attribute(words, at))
		{
			clause = palloc0(sizeof(SdColumnClause));
			clause->constraint = constraint;
			clause->text = text;
			clauses = lappend(clauses, clause);
			continue;
		}
		clause->text = psprintf("%s %s", clause->text, text);
		clause->deferrable |= constraint->contype == CONSTR_ATTR_DEFERRABLE || constraint->contype == CONSTR_ATTR_DEFERRED;
		clause->deferred |= constraint->contype == CONSTR_ATTR_DEFERRED;
		clause->not_enforced |= sd_words_is(words, at + 1, "enforced");
	}
	return clauses;
}

char *
sd_words_constraint(const SdWords *words, const Constraint *constraint)
{
	int			at = behind_its_name(words, sd_words_at(words, constraint->location));

	return sd_words_some(words, at, sd_words_comma(words, at));
}
