/* SPDX-License-Identifier: MIT */
/*
 * Identities, certificates and AUTH payloads out of the network.  The first octet says which: 200
 * and 201 a certificate (and those that help it) against a fixed CA, 202 an AUTH payload, 203 an
 * extension of a certificate that the CA did sign, any other is an identity's type.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <openssl/err.h>
#include "base/cursor.h"
#include "crypto/cert.h"
#include "crypto/dn.h"
#include "crypto/identity.h"
#include "../unit/pki_fixed.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static struct {
	struct pki ca, leaf;
	struct cert_trust *trust, *strict;
	struct cert_peer *peers[PKI_FIXED_COUNT];
	struct identity *policies[8];
} rig;

static struct cert_trust *make_trust(const struct pki *ca)
{
	struct cert_trust *t = cert_trust_new();
	struct pki_text pem = pki_cert_pem(ca);
	struct pki_text crl = pki_crl_pem(ca, &(struct pki_crl_spec){0});

	assert(t && cert_trust_add_ca(t, pem.data, pem.len, NULL) == 0);
	assert(cert_trust_add_crl(t, crl.data, crl.len, NULL) == 0);
	pki_text_free(&pem);
	pki_text_free(&crl);
	return t;
}

static void rig_make(void)
{
	static const char *const policies[] = {
	    "%any",	   "*.example.org",	    "*@example.org", "192.0.2.1",
	    "2001:db8::1", "C=CH, O=Example, CN=*", "@#00",	     "C=CH, CN=moon"};

	rig.ca = pki_fixed_ca();
	rig.leaf = pki_fixed_leaf(&rig.ca, 0);
	rig.trust = make_trust(&rig.ca);
	rig.strict = make_trust(&rig.ca);
	cert_trust_require_crl(rig.strict, true);
	for (unsigned i = 0; i < PKI_FIXED_COUNT; i++) {
		struct pki leaf = pki_fixed_leaf(&rig.ca, i);
		struct pki_text d = pki_cert_der(&leaf);
		struct cert_der der = {(const uint8_t *)d.data, d.len};
		rig.peers[i] = cert_verify(rig.trust, &der, 1, PKI_NOW_US, NULL);
		assert(rig.peers[i]);
		pki_text_free(&d);
		pki_free(&leaf);
	}
	for (size_t i = 0; i < 8; i++)
		assert((rig.policies[i] = identity_parse(policies[i], NULL)));
}

/* --- identities */

static void check_text(const struct identity *i)
{
	char buf[4096], small[7];
	struct err err;

	assert(strlen(identity_format(i, small, sizeof(small))) < sizeof(small));
	identity_format(i, buf, sizeof(buf));
	for (const char *p = buf; *p; p++)
		assert(*p >= ' ' && *p < 0x7f);
	if (!identity_is_valid(i->type, i->data, i->len))
		return;
	/* What was told reads as a name of the same type, where it reads at all. */
	struct identity *back = identity_parse(buf, &err);
	assert(!back || back->type == i->type);
	if (back && i->type != IDENTITY_DN && !strchr(buf, '?'))
		assert(identity_equal(back, i));
	free(back);
}

static void check_identity(uint8_t type, const uint8_t *data, size_t len)
{
	struct identity *i = identity_new(type, data, len);

	if (!i)
		return;
	bool valid = identity_is_valid(type, data, len);
	for (size_t n = 0; n < 8; n++)
		assert(!identity_matches(rig.policies[n], i) || valid);
	if (valid) {
		assert(identity_matches(rig.policies[0], i));
		assert(identity_equal(i, i));
		/* It cannot widen what it is compared with. */
		for (size_t n = 1; n < 8; n++)
			if (identity_equal(i, rig.policies[n]))
				assert(identity_equal(rig.policies[n], i));
	}
	for (unsigned n = 0; n < PKI_FIXED_COUNT; n++)
		assert(!cert_peer_has_identity(rig.peers[n], i) || valid);
	check_text(i);
	free(i);
}

/* --- certificates */

static void use_peer(struct cert_peer *p)
{
	struct chunk part = {"octets", 6};

	for (size_t n = 0; n < 8; n++)
		(void)cert_peer_has_identity(p, rig.policies[n]);
	assert(!cert_peer_verify(p, CERT_AUTH_DIGITAL_SIGNATURE, (const uint8_t *)"\0", 1,
				 CERT_HASHES_ALL, &part, 1, NULL));
	cert_peer_free(p);
}

/* Each certificate with two octets of its length before it. */
static void check_certs(const struct cert_trust *t, const uint8_t *data, size_t len)
{
	struct cert_der certs[CERT_CHAIN_MAX + 2];
	struct reader r = reader_of(data, len);
	struct err err = {{0}};
	size_t n;

	for (n = 0; n < CERT_CHAIN_MAX + 2 && reader_left(&r) && !r.failed; n++) {
		size_t l = reader_u16(&r);
		l = l < reader_left(&r) ? l : reader_left(&r);
		certs[n] = (struct cert_der){reader_bytes(&r, l), l};
	}
	struct cert_peer *p = cert_verify(t, certs, n, PKI_NOW_US, &err);
	assert(p || err.text[0]);
	assert(ERR_peek_error() == 0);
	if (p)
		use_peer(p);
	/* As own material, by which a person may harm himself alone. */
	assert(!cert_own_new(data, len, data, len, NULL));
}

/* A CA may be careless: [which extension][its octets], signed. */
static void check_extension(const uint8_t *data, size_t len)
{
	static const int nids[] = {
	    NID_subject_alt_name,     NID_ext_key_usage,	  NID_key_usage,
	    NID_basic_constraints,    NID_name_constraints,	  NID_authority_key_identifier,
	    NID_certificate_policies, NID_crl_distribution_points};
	struct err err = {{0}};

	if (len < 1 || len > 16384)
		return;
	X509 *x = X509_dup(rig.leaf.cert);
	ASN1_OCTET_STRING *value = ASN1_OCTET_STRING_new();
	assert(x && value && ASN1_OCTET_STRING_set(value, data + 1, (int)len - 1) == 1);
	int nid = nids[data[0] % 8], at = X509_get_ext_by_NID(x, nid, -1);
	if (at >= 0)
		X509_EXTENSION_free(X509_delete_ext(x, at));
	X509_EXTENSION *e = X509_EXTENSION_create_by_NID(NULL, nid, data[0] & 8, value);
	assert(e && X509_add_ext(x, e, -1) == 1 && X509_sign(x, rig.ca.key, NULL) > 0);
	struct pki signed_one = {NULL, x};
	struct pki_text d = pki_cert_der(&signed_one);
	struct cert_der der = {(const uint8_t *)d.data, d.len};
	ERR_clear_error();
	struct cert_peer *p = cert_verify(rig.trust, &der, 1, PKI_NOW_US, &err);
	assert((p || err.text[0]) && ERR_peek_error() == 0);
	if (p)
		use_peer(p);
	X509_EXTENSION_free(e);
	ASN1_OCTET_STRING_free(value);
	X509_free(x);
	pki_text_free(&d);
}

/* Nobody here has a private key: nothing of this is a signature of these octets. */
static void check_auth(const uint8_t *data, size_t len)
{
	static const uint8_t none[40];
	struct chunk part = {none, sizeof(none)};
	struct err err = {{0}};

	if (len < 1)
		return;
	for (unsigned n = 0; n < PKI_FIXED_COUNT; n++) {
		assert(!cert_peer_verify(rig.peers[n], data[0], data + 1, len - 1, ~0u, &part, 1,
					 &err));
		assert(err.text[0] && ERR_peek_error() == 0);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	if (!rig.trust)
		rig_make();
	if (len < 1)
		return 0;
	if (data[0] == 200 || data[0] == 201)
		check_certs(data[0] == 200 ? rig.trust : rig.strict, data + 1, len - 1);
	else if (data[0] == 202)
		check_auth(data + 1, len - 1);
	else if (data[0] == 203)
		check_extension(data + 1, len - 1);
	else
		check_identity(data[0], data + 1, len - 1);
	return 0;
}
