/* SPDX-License-Identifier: MIT */
/* Certificates of the rig's two nodes: one CA, a and b of chosen key types, whom they believe. */
#ifndef IKE_CREDS_H
#define IKE_CREDS_H

#include "ike_rig.h"
#include "pki.h"

struct creds {
	struct pki ca, a, b;
	struct cert_own *own_a, *own_b;
	struct cert_trust *trust_a, *trust_b;
};

static inline uint64_t pki_wall(void *ctx)
{
	(void)ctx;
	return PKI_NOW_US;
}

static inline struct cert_own *own_of(const struct pki *p)
{
	struct err err = {{0}};
	struct pki_text cert = pki_cert_pem(p), key = pki_key_pem(p);
	struct cert_own *o = cert_own_new(cert.data, cert.len, key.data, key.len, &err);
	if (!o)
		fail_msg("%s", err.text);
	pki_text_free(&cert);
	pki_text_free(&key);
	return o;
}

static inline struct cert_trust *trust_of(const struct pki *ca)
{
	struct err err = {{0}};
	struct pki_text cert = pki_cert_pem(ca);
	struct cert_trust *t = cert_trust_new();
	if (cert_trust_add_ca(t, cert.data, cert.len, &err))
		fail_msg("%s", err.text);
	pki_text_free(&cert);
	return t;
}

static inline struct creds creds_new(enum pki_key a, enum pki_key b)
{
	struct creds c = {.ca = pki_ca("O=Test, CN=CA")};
	c.a = pki_leaf(&c.ca, a, "O=Test, CN=a", "DNS:a.example.org");
	c.b = pki_leaf(&c.ca, b, "O=Test, CN=b", "DNS:b.example.org");
	c.own_a = own_of(&c.a);
	c.own_b = own_of(&c.b);
	c.trust_a = trust_of(&c.ca);
	c.trust_b = trust_of(&c.ca);
	return c;
}

static inline void creds_free(struct creds *c)
{
	cert_own_free(c->own_a);
	cert_own_free(c->own_b);
	cert_trust_free(c->trust_a);
	cert_trust_free(c->trust_b);
	pki_free(&c->ca);
	pki_free(&c->a);
	pki_free(&c->b);
}

/* a proves itself by `a`, b by `b`. */
static inline struct rig *rig_with(const struct creds *c, enum ike_auth a, enum ike_auth b)
{
	struct rig *g = rig_new();
	struct ike_peer *pa = &g->a.peer, *pb = &g->b.peer;
	g->a.ops.wall_us = g->b.ops.wall_us = pki_wall;
	pa->local_auth = pb->remote_auth = a;
	pa->remote_auth = pb->local_auth = b;
	pa->send_cert = pb->send_cert = pa->send_certreq = pb->send_certreq = true;
	pa->own = c->own_a;
	pb->own = c->own_b;
	pa->trust = c->trust_a;
	pb->trust = c->trust_b;
	return g;
}

#endif
