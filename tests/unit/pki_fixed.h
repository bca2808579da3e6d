/* SPDX-License-Identifier: MIT */
/*
 * A CA whose key and certificate are the same in every run (Ed25519 signatures are deterministic):
 * what a unit test saves as a fuzzer's seed, the fuzzer believes.
 */
#ifndef TESTS_UNIT_PKI_FIXED_H
#define TESTS_UNIT_PKI_FIXED_H

#include "pki.h"

#define PKI_FIXED_COUNT 4

static inline struct pki pki_fixed_ca(void)
{
	static const uint8_t seed[32] = "the fixed CA's private key......";
	struct pki_spec s = {.ed25519_seed = seed,
			     .subject = "C=CH, O=Fixed, CN=CA",
			     .basic_constraints = "critical,CA:TRUE",
			     .serial = 1};
	return pki_make(&s, NULL);
}

/* The first is the same in every run. */
static inline struct pki pki_fixed_leaf(const struct pki *ca, unsigned n)
{
	static const uint8_t seed[32] = "a leaf of it: its private key...";
	static const enum pki_key keys[PKI_FIXED_COUNT] = {PKI_ED25519, PKI_P256, PKI_P521,
							   PKI_RSA2048};
	struct pki_spec s = {.ed25519_seed = n == 0 ? seed : NULL,
			     .key = keys[n],
			     .subject = "C=CH, O=Example, CN=moon",
			     .san = "DNS:moon.example.org,DNS:*.example.org,email:ann@example.org,"
				    "IP:192.0.2.1,IP:2001:db8::1",
			     .key_usage = "critical,digitalSignature",
			     .ext_key_usage = "serverAuth,1.3.6.1.5.5.7.3.17",
			     .serial = 2 + (long)n};
	return pki_make(&s, ca);
}

#endif
