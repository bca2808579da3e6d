/* SPDX-License-Identifier: MIT */
/*
 * Sequence spaces: the counter a sender draws its numbers from and the window of a receiver, for
 * one peer (all its ESN SAs) or for one SA without ESN.
 *
 * Control initialises and clears a space while no SA that borrows it is published; in between its
 * fields are the packet thread's.
 */
#include "sadb/sa.h"

void space_init(struct space *s, uint32_t replay_packets)
{
	atomic_store(&s->next, 1);
	atomic_store(&s->rx_epoch, 0);
	s->resets = 0;
	replay_init(&s->window, replay_packets);
}

void space_clear(struct space *s)
{
	replay_clear(&s->window);
}

void space_begin_epoch(struct space *s, uint32_t epoch)
{
	atomic_store(&s->next, space_hello_number(epoch));
}
