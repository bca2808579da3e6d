/* SPDX-License-Identifier: MIT */
/* What child.c, child_make.c and rekey.c share of a child SA's negotiation. */
#ifndef IKE_CHILD_H
#define IKE_CHILD_H

#include "ike/state.h"

#define HAS(payload) (UINT64_C(1) << (IKE_PAYLOAD_##payload - 32))

#define NONCE_LEN 32 /* of ours */

/* The old one of a rekey stays so long for a delete that the other side owes us. */
#define CHILD_LINGER_US (90ull * USEC_PER_SEC)

/* A child SA before it is one. */
struct child_draft {
	uint8_t protocol;
	struct suite suite;
	uint32_t spi_in, spi_out;
	bool transport;
	struct ike_ts_list local, remote;
	uint8_t shared[KEX_SECRET_MAX];
	size_t shared_len;
};

/* Into the IKE SA's list, with its lifetimes. */
struct ike_child *child_add(struct ike_sa *sa, const struct child_draft *d);
/* The other side has a child SA that we do not want: it is told so. */
void child_discard(struct ike_sa *sa, const struct child_draft *d, const char *why);

/* What an error in a response to CREATE_CHILD_SA asks for: AGAIN with another group (or none),
 * RETRY later; DONE: it failed.  use and list: what was offered. */
enum outcome child_retry(struct ike_sa *sa, struct task *t, const struct suite_list *list,
			 const struct ike_payloads *p, uint16_t notify);
/* The negotiation of a CREATE_CHILD_SA that is about to be sent, with its key exchange when `list`
 * has groups (the one of `before` first; NULL: the list's first).  False: the library failed. */
bool negotiation_prepare(struct ike_sa *sa, struct task *t, const struct suite_list *list,
			 const struct kex_group *before);

const struct suite_list *child_list(const struct ike_sa *sa, uint8_t protocol);
/* The first error notify, 0: none. */
uint16_t child_error(const struct ike_payloads *p);
void child_put_error(struct ike_builder *b, uint16_t notify);
void child_put_invalid_ke(struct ike_builder *b, const struct kex_group *wanted);
/* Is a the lower one, by its octets and then its length (RFC 7296 2.8.1)? */
bool nonce_is_lower(const uint8_t *a, size_t a_len, const uint8_t *b, size_t b_len);
/* The lower one of the two nonces in hand. */
const uint8_t *negotiation_lowest(const struct negotiation *n, size_t *len);
/* Our exchange loses against the peer's simultaneous one: it had the lowest of the four nonces. */
bool negotiation_loses(const struct negotiation *n);
/* Keeps the lowest nonce of the peer's exchange in ours. */
void negotiation_note_rival(struct negotiation *ours, const struct negotiation *theirs);
/* Nonce of a peer's message; false: none, or of a wrong length. */
bool nonce_take(const struct ike_payloads *p, uint8_t out[IKE_NONCE_MAX], uint16_t *len);

#endif
