/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Evidence that several hold. Does not look into it.
 */
#include "daemon/shown.h"

#include <stdlib.h>

struct shown *shown_new(const struct msg_shown *by, uint8_t *cmw, size_t n)
{
	struct shown *s = malloc(sizeof(*s));

	if (s)
		*s = (struct shown){.holders = 1, .by = *by, .cmw = cmw, .n = n};
	else
		free(cmw);
	return s;
}

struct shown *shown_hold(struct shown *s)
{
	if (s)
		s->holders++;
	return s;
}

void shown_drop(struct shown *s)
{
	if (!s || --s->holders)
		return;
	free(s->cmw);
	free(s);
}
