/*
 * texts.h: lists of texts (List of char *), in which each is once.
 */
#ifndef SD_TEXTS_H
#define SD_TEXTS_H

#include "nodes/pg_list.h"

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
