/*
 * texts.h: texts, and lists of texts (List of char *) in which each is once.
 */
#ifndef SD_TEXTS_H
#define SD_TEXTS_H

#include "nodes/pg_list.h"
#include "utils/builtins.h"

static inline bool
sd_text_is_blank(const char *text)
{
	return text[strspn(text, " \t\r\n\f\v")] == '\0';
}

/* 8192 bytes, 12 MB */
static inline char *
sd_text_of_bytes(int64 bytes)
{
	return text_to_cstring(DatumGetTextPP(DirectFunctionCall1(pg_size_pretty, Int64GetDatum(bytes))));
}

static inline bool
sd_texts_have(const List *texts, const char *text)
{
	ListCell   *cell;

	foreach(cell, texts)
		if (strcmp(lfirst(cell), text) == 0)
			return true;
	return false;
}

/* The text itself is added, not a copy. */
static inline List *
sd_texts_add(List *texts, const char *text)
{
	return sd_texts_have(texts, text) ? texts : lappend(texts, unconstify(char *, text));
}

#endif							/* SD_TEXTS_H */
