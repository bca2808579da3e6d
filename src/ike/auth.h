/* SPDX-License-Identifier: MIT */
/* What auth.c, auth_proof.c and eap_auth.c share while an IKE_AUTH is under way. */
#ifndef IKE_AUTH_H
#define IKE_AUTH_H

#include "ike/half.h"

enum auth_stage {
	AUTH_FIRST, /* identities, proof, child */
	AUTH_EAP,   /* EAP packets */
	AUTH_LAST,  /* the proof by EAP's key, child */
};

struct auth {
	enum auth_stage stage;
	/* ID payloads' bodies as they travel: AUTH covers all of their octets (IDi', IDr') */
	uint8_t *id_i, *id_r; /* owned */
	uint16_t id_i_len, id_r_len;
	struct negotiation *neg; /* initiator: of the first child; owned */
	/* RFC 8784: the keys with the PPK in them; ppk: they are used */
	bool ppk;
	struct ike_sk ppk_sk;
	uint8_t ppk_sk_d[PRF_LEN_MAX];
	/* EAP */
	struct eap *eap;		 /* owned */
	const struct ike_peer *eap_peer; /* server: who the user is */
	uint8_t *packet;		 /* owned: what goes out next */
	size_t packet_len;
	bool has_msk;
	uint8_t msk[EAP_MSK_LEN];
	/* responder with EAP: the first request, which the last response answers; owned */
	struct ike_payloads *first;
	uint8_t *first_bytes;
};

/* --- auth_proof.c: AUTH payloads (RFC 7296 2.15, 2.16, RFC 7427) */
struct auth_proof {
	uint8_t method;
	size_t len;
	uint8_t data[CERT_SIGNATURE_MAX];
};
#define AUTH_SHARED_KEY 2 /* method */
/* Ours, by what the peer's entry says, or by EAP's key when there is one.  0, or -1 with err. */
int auth_proof_make(const struct ike_sa *sa, const struct ike_sk *sk, struct auth_proof *out,
		    struct err *err) __attribute__((warn_unused_result));
/* The peer's; p: where its certificates are. */
int auth_proof_check(const struct ike_sa *sa, const struct ike_sk *sk, const struct ike_typed *auth,
		     const struct ike_payloads *p, struct err *err)
    __attribute__((warn_unused_result));
/* Fills in ppk_sk and ppk_sk_d of sa->half->auth (RFC 8784 3).  0 or -1. */
int auth_proof_mix_ppk(struct ike_sa *sa) __attribute__((warn_unused_result));

/* --- auth.c */
/* For requests: an error notify as the answer, and why. */
enum outcome auth_refuse(struct ike_sa *sa, struct ike_builder *b, uint16_t notify, const char *fmt,
			 ...) __attribute__((format(printf, 4, 5)));
/* For responses: the other side is told, as far as one message can, and the IKE SA goes. */
enum outcome auth_give_up(struct ike_sa *sa, uint16_t notify, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* --- eap_auth.c (RFC 7296 2.16) */
/* Server: begins; the first packet is in `packet`.  False: no method. */
bool eap_auth_begin(struct ike_sa *sa);
/* Server: a round. */
enum outcome eap_auth_request(struct ike_sa *sa, const struct inbound *in, struct ike_builder *b);
/* Server: has it begun, and is it not over? */
bool eap_auth_is_under_way(const struct ike_sa *sa);
/* Server: the client ended it from outside. */
enum outcome eap_auth_given_up(struct ike_sa *sa);
/* Client: a round; AGAIN: the next request is to be built. */
enum outcome eap_auth_response(struct ike_sa *sa, const struct inbound *in);

#endif
