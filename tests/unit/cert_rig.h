/* SPDX-License-Identifier: MIT */
/* Certificates that are believed or not, and what is said then. */
#ifndef TESTS_UNIT_CERT_RIG_H
#define TESTS_UNIT_CERT_RIG_H

#include "vectors.h"
#include "crypto/cert.h"
#include "pki_fixed.h"

static inline struct cert_trust *trust_of(const struct pki *ca)
{
	struct cert_trust *t = cert_trust_new();
	struct pki_text pem = pki_cert_pem(ca);
	struct err err = {{0}};

	assert_non_null(t);
	if (cert_trust_add_ca(t, pem.data, pem.len, &err) < 0)
		fail_msg("%s", err.text);
	pki_text_free(&pem);
	return t;
}

/* leaf, then up to two helpers. */
static inline struct cert_peer *verify_at(const struct cert_trust *t, const struct pki *leaf,
					  const struct pki *h1, const struct pki *h2,
					  uint64_t wall_us, struct err *err)
{
	const struct pki *all[] = {leaf, h1, h2};
	struct pki_text der[3] = {{0}};
	struct cert_der certs[3];
	size_t n;

	for (n = 0; n < 3 && all[n]; n++) {
		der[n] = pki_cert_der(all[n]);
		certs[n] = (struct cert_der){(const uint8_t *)der[n].data, der[n].len};
	}
	*err = (struct err){{0}};
	struct cert_peer *p = cert_verify(t, certs, n, wall_us, err);
	for (size_t i = 0; i < n; i++)
		pki_text_free(&der[i]);
	return p;
}

static inline void expect_at(const struct cert_trust *t, const struct pki *leaf,
			     const struct pki *h1, const struct pki *h2, uint64_t wall_us,
			     const char *says, int line)
{
	struct err err;
	struct cert_peer *p = verify_at(t, leaf, h1, h2, wall_us, &err);

	if (!says && !p)
		fail_msg("line %d: refused: %s", line, err.text);
	if (says && p)
		fail_msg("line %d: believed, and not: %s", line, says);
	if (says && !strstr(err.text, says))
		fail_msg("line %d: \"%s\" has no \"%s\"", line, err.text, says);
	cert_peer_free(p);
}
/* says NULL: believed. */
#define EXPECT(t, leaf, h1, h2, says) expect_at(t, leaf, h1, h2, PKI_NOW_US, says, __LINE__)

#endif
