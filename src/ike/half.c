/* SPDX-License-Identifier: MIT */
/* The part of an IKE SA that ends when it is established: it holds most of its memory and the
 * secrets of IKE_AUTH, so that an idle IKE SA stays small. */
#include "ike/half.h"
#include "base/mem.h"

struct half *half_new(void)
{
	return mem_zalloc(sizeof(struct half));
}

void half_free(struct half *h)
{
	if (!h)
		return;
	auth_free(h->auth);
	kex_free(h->kex);
	free(h->connection);
	free(h->msg_i);
	free(h->msg_r);
	mem_wipe(h, sizeof(*h));
	free(h);
}
