/* SPDX-License-Identifier: MIT */
/* Payloads of IKEv2 for the tests, in memory of exactly their size. */
#ifndef TESTS_IKE_PAYLOAD_H
#define TESTS_IKE_PAYLOAD_H

#include "vectors.h"
#include "wire/ike.h"

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

/* A payload whose body is exactly `v`; the body is to be freed by the caller. */
static inline struct ike_payload payload_of(uint8_t type, const uint8_t *body, size_t len)
{
	return (struct ike_payload){
	    .type = type,
	    .body = vector_exact(body, len),
	    .len = (uint16_t)len,
	};
}

static inline void payload_free(struct ike_payload *p)
{
	free((void *)(uintptr_t)p->body);
}

/* Every inside, whatever is in it. */
static inline bool read_inside(const struct ike_payload *p)
{
	union {
		struct ike_ke ke;
		struct ike_typed typed;
		struct ike_notify notify;
		struct ike_delete del;
		struct ike_proposals sa;
		struct ike_ts_list ts;
		struct ike_cp cp;
		struct ike_fragment fragment;
	} u;

	switch (p->type) {
	case IKE_PAYLOAD_SA:
		return ike_read_sa(p, &u.sa);
	case IKE_PAYLOAD_KE:
		return ike_read_ke(p, &u.ke);
	case IKE_PAYLOAD_IDI:
	case IKE_PAYLOAD_IDR:
		return ike_read_id(p, &u.typed);
	case IKE_PAYLOAD_CERT:
	case IKE_PAYLOAD_CERTREQ:
		return ike_read_cert(p, &u.typed);
	case IKE_PAYLOAD_AUTH:
		return ike_read_auth(p, &u.typed);
	case IKE_PAYLOAD_NOTIFY:
		return ike_read_notify(p, &u.notify);
	case IKE_PAYLOAD_DELETE:
		return ike_read_delete(p, &u.del);
	case IKE_PAYLOAD_TSI:
	case IKE_PAYLOAD_TSR:
		return ike_read_ts(p, &u.ts);
	case IKE_PAYLOAD_CP:
		return ike_read_cp(p, &u.cp);
	case IKE_PAYLOAD_SKF:
		return ike_read_fragment(p, &u.fragment);
	}
	return true;
}

#endif
