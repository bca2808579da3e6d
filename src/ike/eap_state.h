/* SPDX-License-Identifier: MIT */
/* What eap.c and the methods share: one conversation. */
#ifndef IKE_EAP_STATE_H
#define IKE_EAP_STATE_H

#include "base/cursor.h"
#include "ike/eap.h"
#include "ike/mschap.h"

/* RFC 3748 4 */
enum eap_code {
	EAP_CODE_REQUEST = 1,
	EAP_CODE_RESPONSE = 2,
	EAP_CODE_SUCCESS = 3,
	EAP_CODE_FAILURE = 4,
};

/* RFC 3748 5; those of the methods are enum eap_method */
enum eap_type {
	EAP_TYPE_IDENTITY = 1,
	EAP_TYPE_NOTIFICATION = 2,
	EAP_TYPE_NAK = 3,
	EAP_TYPE_EXPANDED = 254,
};

#define EAP_HEADER_LEN 4
#define EAP_REASON_MAX 256

enum eap_stage {
	EAP_STAGE_IDENTITY, /* who?  The method has not begun. */
	EAP_STAGE_METHOD,
	EAP_STAGE_PROVED, /* client: the server proved itself; its EAP-Success is awaited */
	EAP_STAGE_DOOMED, /* it failed and the other side was told; its last packet is awaited */
	EAP_STAGE_SUCCESS,
	EAP_STAGE_FAILURE,
};

/* What a method makes of a packet. */
enum eap_step {
	EAP_STEP_SEND,	 /* what it wrote goes out */
	EAP_STEP_DONE,	 /* server: the client proved itself */
	EAP_STEP_FAIL,	 /* it's over, and nothing of the method can say so */
	EAP_STEP_IGNORE, /* malformed: nothing changed */
};

/* MS-CHAPv2's conversation. */
enum mschap_wait { MSCHAP_WAIT_CHALLENGE, MSCHAP_WAIT_RESPONSE, MSCHAP_WAIT_RESULT };
struct mschap_talk {
	enum mschap_wait wait;
	uint8_t id; /* MS-CHAPv2-ID of the challenge */
	uint8_t authenticator[MSCHAP_CHALLENGE_LEN], peer[MSCHAP_CHALLENGE_LEN];
	uint8_t nt_hash[MSCHAP_HASH_LEN];
	uint8_t response[MSCHAP_RESPONSE_LEN];
};

struct tls_talk;

struct eap_method_ops;
struct eap {
	struct eap_config cfg;
	const struct eap_method_ops *ops;
	enum eap_stage stage;
	uint8_t id;    /* of the last request */
	bool answered; /* client: id is that of a request */
	unsigned rounds;
	char claimed[EAP_IDENTITY_MAX];	 /* server: the answer to the identity request */
	char identity[EAP_IDENTITY_MAX]; /* server: by the method */
	char reason[EAP_REASON_MAX];
	bool has_msk;
	uint8_t msk[EAP_MSK_LEN];
	struct tls_talk *tls; /* owned */
	struct mschap_talk mschap;
};

/* in: what stands behind the type; out: likewise. */
struct eap_method_ops {
	/* Both roles, when the conversation is made.  False: it cannot be. */
	bool (*begin)(struct eap *e);
	void (*end)(struct eap *e);
	/* Server: the first request. */
	enum eap_step (*start)(struct eap *e, struct writer *out);
	/* The method moves `stage` on to PROVED or DOOMED. */
	enum eap_step (*input)(struct eap *e, struct reader *in, struct writer *out);
};

extern const struct eap_method_ops eap_tls_ops, eap_mschapv2_ops;

/* The first reason stays.  Returns EAP_STEP_FAIL. */
enum eap_step eap_fail(struct eap *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Likewise, EAP_STEP_IGNORE. */
enum eap_step eap_ignore(struct eap *e, const char *why);
/* What is left of `in`, as a name of a user: UTF-8 without control characters that fits.  Returns
 * whether it is one; else out is "". */
bool eap_read_name(struct reader *in, char out[EAP_IDENTITY_MAX]);

/* --- eap_tls.c, for the warm-up and tests */
struct ssl_ctx_st *eap_tls_context(struct eap_tls *t);

#endif
