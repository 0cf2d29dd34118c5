/*
 * clause.h: pieces of a statement's own text, for statements to paste.
 *
 * What the parser has understood cannot be written out again by the server; where its nodes begin in the text is known,
 * and with the lexer's words where they end.
 */
#ifndef SD_ANALYSIS_CLAUSE_H
#define SD_ANALYSIS_CLAUSE_H

#include "compat.h"

#include "nodes/parsenodes.h"

typedef struct SdWord
{
	int			from;			/* in the text */
	int			to;				/* behind it */
} SdWord;

typedef struct SdWords
{
	const char *text;
	int			start;			/* of the text in what was parsed, which positions in nodes count from */
	int			n;
	SdWord	   *words;
} SdWords;

/* Of text that the parser has accepted. */
extern SdWords *sd_words(const char *text, int start);

/* All of it as it was written, but for comments. */
extern char *sd_words_whole(const SdWords *words);

/* Words from one to before another one, on one line, without comments. */
extern char *sd_words_some(const SdWords *words, int from, int to);

/* The word at a node's position, or the first one behind it; words->n: there is none. */
extern int	sd_words_at(const SdWords *words, int location);

/* A keyword, however it is written.  Not the name that is quoted. */
extern bool sd_words_is(const SdWords *words, int i, const char *keyword);

/* The next comma that stands in no brackets, or the end. */
extern int	sd_words_comma(const SdWords *words, int i);

/* Behind the name of a relation that begins there: a.b, with * or the bracket of ONLY (a). */
extern int	sd_words_behind_name(const SdWords *words, int i);

/* The commands of ALTER TABLE, of char *, and the text up to the first; NIL: it has one only. */
extern List *sd_words_commands(const SdWords *words, const AlterTableStmt *stmt, char **head);

/* A column as it is added. */
typedef struct SdColumnClause
{
	Constraint *constraint;
	char	   *text;			/* without CONSTRAINT and its name, with what follows it: DEFERRABLE ... */
	bool		deferrable;
	bool		deferred;
	bool		not_enforced;
} SdColumnClause;

/* *base: name, type and what belongs to that; the rest, of SdColumnClause. */
extern List *sd_words_column(const SdWords *words, const ColumnDef *column, char **base);

/* A constraint of a table or a domain, without CONSTRAINT and its name. */
extern char *sd_words_constraint(const SdWords *words, const Constraint *constraint);

#endif							/* SD_ANALYSIS_CLAUSE_H */
