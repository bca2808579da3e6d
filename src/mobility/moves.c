/* SPDX-License-Identifier: MIT */
/* The timeline of moves: a ring of the last MOVES_KEPT, owned by control, one thread. */
#include "mobility/moves.h"

#include <stdarg.h>
#include <stdio.h>
#include "base/mem.h"

#define TRY_FIRST_MAX (MOVE_EVENTS_MAX / 2) /* events of the first try, when there are more */

struct moves {
	uint64_t begun; /* how many there ever were; the newest has this id */
	struct move ring[MOVES_KEPT];
};

const char *move_kind_text(enum move_kind k)
{
	switch (k) {
	case MOVE_START:
		return "start";
	case MOVE_MAKE_BEFORE_BREAK:
		return "make-before-break";
	case MOVE_BREAK_BEFORE_MAKE:
		return "break-before-make";
	case MOVE_HOME:
		return "home";
	case MOVE_LEAVE_HOME:
		return "leave-home";
	case MOVE_ADD:
		return "add";
	case MOVE_REMOVE:
		return "remove";
	}
	return "?";
}

const char *move_step_text(enum move_step s)
{
	switch (s) {
	case MOVE_LINK:
		return "link";
	case MOVE_CHOSEN:
		return "chosen";
	case MOVE_REQUEST:
		return "request";
	case MOVE_REPLY:
		return "reply";
	case MOVE_SWITCH:
		return "switch";
	case MOVE_FIRST_UP:
		return "first-up";
	case MOVE_FIRST_DOWN:
		return "first-down";
	case MOVE_NOTE:
		return "note";
	case MOVE_DONE:
		return "done";
	}
	return "?";
}

struct moves *moves_new(void)
{
	return mem_zalloc(sizeof(struct moves));
}

void moves_free(struct moves *m)
{
	free(m);
}

struct move *moves_begin(struct moves *m, enum move_kind kind, const char *terminal,
			 const char *from, const char *to, usec_t start_us, uint64_t wall_us)
{
	struct move *mv = &m->ring[m->begun++ % MOVES_KEPT];
	*mv = (struct move){
	    .id = m->begun,
	    .start_us = start_us,
	    .wall_us = wall_us,
	    .kind = kind,
	    .switch_us = -1,
	};
	(void)snprintf(mv->terminal, sizeof(mv->terminal), "%s", terminal);
	(void)snprintf(mv->from, sizeof(mv->from), "%s", from);
	(void)snprintf(mv->to, sizeof(mv->to), "%s", to);
	return mv;
}

static void note(struct move *mv, usec_t at_us, enum move_step step, const char *fmt, va_list ap)
{
	/* The last place is kept for the end, however many retransmissions there were. */
	if (mv->event_count >= MOVE_EVENTS_MAX - (step == MOVE_DONE ? 0u : 1u))
		return;
	/* Some are told of late: the first packets by whoever looks at the counters. */
	unsigned at = mv->event_count++;
	for (; at && mv->events[at - 1].at_us > at_us; at--)
		mv->events[at] = mv->events[at - 1];
	struct move_event *e = &mv->events[at];
	e->at_us = at_us;
	e->step = step;
	(void)vsnprintf(e->text, sizeof(e->text), fmt, ap);
	if (step == MOVE_DONE)
		mv->done = true;
}

void move_note(struct move *mv, usec_t at_us, enum move_step step, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	note(mv, at_us, step, fmt, ap);
	va_end(ap);
}

void move_try_again(struct move *mv, usec_t at_us, const char *to)
{
	/* The first try and the last one are kept. */
	if (mv->tries && mv->try_at < mv->event_count)
		mv->event_count = mv->try_at;
	unsigned kept = 0;
	for (unsigned i = 0; i < mv->event_count; i++)
		if (mv->events[i].step != MOVE_DONE)
			mv->events[kept++] = mv->events[i];
	mv->event_count = kept < TRY_FIRST_MAX ? kept : TRY_FIRST_MAX;
	mv->tries++;
	mv->try_at = mv->event_count;
	mv->done = false;
	(void)snprintf(mv->to, sizeof(mv->to), "%s", to);
	move_note(mv, at_us, MOVE_NOTE, "try %u: %s", mv->tries + 1, to);
}

const struct move *moves_at(const struct moves *m, size_t i)
{
	uint64_t first = m->begun > MOVES_KEPT ? m->begun - MOVES_KEPT : 0;
	if (i >= m->begun - first)
		return NULL;
	return &m->ring[(first + i) % MOVES_KEPT];
}
