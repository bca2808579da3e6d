/* SPDX-License-Identifier: MIT */
/*
 * An EAP server and an EAP client in one process, every packet of theirs written down, and a hook
 * that may change it on its way.
 *
 *	struct eap_rig *r = rig_new();
 *	r->server.method = r->client.method = EAP_TLS;
 *	rig_run(r);
 *	... r->server_status, r->client_status, r->wire[] ...
 *	rig_free(r);
 *
 * The server's wire packets have even numbers, the client's odd ones.
 */
#ifndef TESTS_UNIT_EAP_RIG_H
#define TESTS_UNIT_EAP_RIG_H

#include "base/mem.h"
#include "ike/eap_state.h"
#include <openssl/ssl.h>
#include "pki.h"

#define RIG_WIRE_MAX 160
#define RIG_USER     "alice@example.org"
#define RIG_PASSWORD "a password of tests"

struct eap_rig;
typedef void rig_hook(struct eap_rig *r, unsigned n, uint8_t *packet, size_t *len);

struct eap_rig {
	struct pki ca, server_leaf, client_leaf;
	struct eap_tls *server_tls, *client_tls; /* owned */
	struct eap_config server, client;
	const char *users[8][2]; /* name, password */
	char asked[8][EAP_IDENTITY_MAX];
	unsigned asked_count;
	uint64_t random[3]; /* the server's, the client's, the hook's */
	rig_hook *hook;
	void *hook_arg;
	/* of the last run; owned until the next */
	struct eap *s, *c;
	enum eap_status server_status, client_status;
	struct {
		uint8_t data[EAP_PACKET_MAX];
		size_t len;
	} wire[RIG_WIRE_MAX];
	unsigned wire_count;
};

static inline void rig_random(void *ctx, void *out, size_t len)
{
	uint64_t *state = ctx;
	for (size_t i = 0; i < len; i++) {
		*state = *state * UINT64_C(6364136223846793005) + 1442695040888963407u;
		((uint8_t *)out)[i] = (uint8_t)(*state >> 56);
	}
}

static inline void rig_seed(struct eap_rig *r)
{
	for (size_t i = 0; i < ARRAY_LEN(r->random); i++)
		r->random[i] = i + 1;
}

static inline const char *rig_password_of(void *ctx, const char *user)
{
	struct eap_rig *r = ctx;
	if (r->asked_count < 8)
		memcpy(r->asked[r->asked_count++], user, strlen(user) + 1);
	for (size_t i = 0; i < 8; i++)
		if (r->users[i][0] && !strcmp(r->users[i][0], user))
			return r->users[i][1];
	return NULL;
}

static inline struct eap_tls *rig_tls(const struct pki *leaf, const struct pki *ca, bool server)
{
	struct pki_text cert = pki_cert_pem(leaf), key = pki_key_pem(leaf), root = pki_cert_pem(ca);
	struct err err = {{0}};
	struct eap_tls *t =
	    eap_tls_new(cert.data, cert.len, key.data, key.len, root.data, root.len, server, &err);
	if (!t)
		fprintf(stderr, "eap_rig.h: %s\n", err.text);
	PKI_NEED(t);
	pki_text_free(&cert);
	pki_text_free(&key);
	pki_text_free(&root);
	return t;
}

/* Other certificates; ca: whom the server believes. */
static inline void rig_set_client(struct eap_rig *r, struct pki leaf, const struct pki *ca)
{
	pki_free(&r->client_leaf);
	eap_tls_free(r->client_tls);
	r->client_leaf = leaf;
	r->client.tls = r->client_tls = rig_tls(&leaf, ca, false);
}

static inline void rig_set_server(struct eap_rig *r, struct pki leaf, const struct pki *ca)
{
	pki_free(&r->server_leaf);
	eap_tls_free(r->server_tls);
	r->server_leaf = leaf;
	r->server.tls = r->server_tls = rig_tls(&leaf, ca, true);
}

static inline struct eap_rig *rig_new(void)
{
	struct eap_rig *r = mem_zalloc(sizeof(*r));
	r->ca = pki_ca("C=CH, O=Test, CN=CA");
	r->server = (struct eap_config){.server = true,
					.method = EAP_MSCHAPV2,
					.wall_us = PKI_NOW_US,
					.password_of = rig_password_of,
					.ctx = r,
					.random = rig_random,
					.random_ctx = &r->random[0]};
	r->client = r->server;
	r->client.server = false;
	r->client.password_of = NULL;
	r->client.random_ctx = &r->random[1];
	rig_seed(r);
	r->client.identity = RIG_USER;
	r->client.password = RIG_PASSWORD;
	r->users[0][0] = RIG_USER;
	r->users[0][1] = RIG_PASSWORD;
	rig_set_server(r, pki_leaf(&r->ca, PKI_P256, "CN=server", "DNS:server.example.org"),
		       &r->ca);
	rig_set_client(r, pki_leaf(&r->ca, PKI_P256, "CN=alice", "email:" RIG_USER), &r->ca);
	return r;
}

static inline void rig_reset(struct eap_rig *r)
{
	eap_free(r->s);
	eap_free(r->c);
	r->s = r->c = NULL;
	r->wire_count = 0;
	r->asked_count = 0;
	r->server_status = r->client_status = EAP_GOES_ON;
}

static inline void rig_free(struct eap_rig *r)
{
	rig_reset(r);
	eap_tls_free(r->server_tls);
	eap_tls_free(r->client_tls);
	pki_free(&r->ca);
	pki_free(&r->server_leaf);
	pki_free(&r->client_leaf);
	free(r);
}

static inline void rig_carry(struct eap_rig *r, uint8_t *packet, size_t *len)
{
	unsigned n = r->wire_count++;
	PKI_NEED(n < RIG_WIRE_MAX);
	if (r->hook)
		r->hook(r, n, packet, len);
	memcpy(r->wire[n].data, packet, *len);
	r->wire[n].len = *len;
}

/* Both are given an exact copy of the packet, so that a sanitizer sees what is read behind it. */
static inline enum eap_status rig_give(struct eap *e, const uint8_t *packet, size_t len,
				       uint8_t *out, size_t *out_len)
{
	uint8_t *copy = malloc(len ? len : 1);
	PKI_NEED(copy);
	if (len)
		memcpy(copy, packet, len);
	enum eap_status s = eap_input(e, len ? copy : NULL, len, out, out_len);
	free(copy);
	return s;
}

/* Until nobody sends any more. */
static inline void rig_run(struct eap_rig *r)
{
	uint8_t packet[EAP_PACKET_MAX], answer[EAP_PACKET_MAX];

	rig_reset(r);
	r->s = eap_new(&r->server);
	r->c = eap_new(&r->client);
	PKI_NEED(r->s && r->c);
	size_t len = eap_begin(r->s, packet);
	while (len) {
		rig_carry(r, packet, &len);
		r->client_status = rig_give(r->c, packet, len, answer, &len);
		if (!len)
			break;
		rig_carry(r, answer, &len);
		r->server_status = rig_give(r->s, answer, len, packet, &len);
	}
}

static inline void rig_use_tls(struct eap_rig *r, int version)
{
	r->server.method = r->client.method = EAP_TLS;
	PKI_NEED(SSL_CTX_set_max_proto_version(eap_tls_context(r->server_tls), version) == 1);
}

#endif
