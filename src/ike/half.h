/* SPDX-License-Identifier: MIT */
/*
 * What an IKE SA needs only until it is established.  init.c makes it and fills in the first
 * part; auth.c ends it (half_free, sa->half = NULL) when the IKE SA is established; whoever ends
 * the IKE SA before does so too.
 */
#ifndef IKE_HALF_H
#define IKE_HALF_H

#include "ike/state.h"

struct half {
	struct ike_sa *sa;
	/* responder, until established: in the engine's list by age and index by remote address */
	struct half *older, *newer;
	struct hash_link by_addr;
	struct addr remote;
	/* IKE_SA_INIT: the messages that made the keys, whole; AUTH covers them (RFC 7296 2.15). An
	 * initiator that had to begin again (cookie, other group) keeps the last ones. */
	uint8_t *msg_i, *msg_r; /* owned */
	size_t msg_i_len, msg_r_len;
	uint8_t nonce_i[IKE_NONCE_MAX], nonce_r[IKE_NONCE_MAX];
	uint16_t nonce_i_len, nonce_r_len;
	struct kex *kex; /* initiator's, until the response */
	const struct kex_group *group;
	uint8_t cookie[IKE_COOKIE_MAX];
	uint8_t cookie_len;
	uint8_t tries;	/* how often it had to begin again */
	uint16_t error; /* initiator: a notify in the clear that nobody vouches for; 0 none */
	struct ike_sk sk;
	bool use_ppk;			      /* both sides said USE_PPK (RFC 8784) */
	bool asked_cert;		      /* the peer sent a CERTREQ */
	struct ike_sj_connection *connection; /* initiator: of the first child; owned; NULL none */
	/* IKE_AUTH: auth.c's own; NULL before its first message */
	struct auth *auth;
};

struct half *half_new(void);
/* half_free is in state.h: wipes; NULL allowed. */

/* auth.c */
extern const struct row auth_row, auth_row_request;
void auth_free(struct auth *a); /* wipes; NULL allowed */
/* Lifetimes and liveness of an IKE SA that is established now: after IKE_AUTH and after a rekey. */
void auth_begin_life(struct ike_sa *sa);

#endif
