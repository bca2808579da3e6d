/* SPDX-License-Identifier: MIT */
/*
 * Configurations of IKEv2 for tests: pieces of text, the certificates they name in a directory of
 * their own ("@/" in a text), and secrets that no message may show.
 */
#ifndef TESTS_UNIT_CONFIG_RIG_H
#define TESTS_UNIT_CONFIG_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/mem.h"
#include "daemon/config.h"
#include "pki.h"

/* No eight characters in a row of them may be in any message. */
#define HEX32  "a0a1a2a3a4a5a6a7a8a9aaabacadaeafb0b1b2b3b4b5b6b7b8b9babbbcbdbebf"
#define SECRET "correct-horse-battery"
#define PASS   "xyzzy-plugh-fee-fie"

/* A terminal: what is given begins at line 3. */
#define T(rest)	 "role = terminal\nike {\n" rest "\n}\n"
#define VPN	 "server = \"vpn.example.org\" "
#define ME	 "id = \"alice@example.org\" "
#define PSK	 "secret = \"" SECRET "\" "
#define TP(rest) T(VPN ME PSK "\n" rest) /* at line 4 */
#define CERT	 "certificate = \"@/alice.pem\" private-key = \"@/alice.key\" "
#define CA	 "ca = \"@/ca.pem\" "
#define TC(rest) T(VPN CERT CA "\n" rest)
/* A home server: what is given begins at line 5, a terminal's options at line 7. */
#define S(rest)                                                                                    \
	"role = home-server listen = \"203.0.113.1\"\nhome-agent = \"10.1.0.1\"\n"                 \
	"ike { id = \"vpn.example.org\"\n }\n" rest "\n"
#define SI(ike)                                                                                    \
	"role = home-server listen = \"203.0.113.1\"\nhome-agent = \"10.1.0.1\"\n"                 \
	"ike {\n" ike "\n}\n"
#define HOME	    "home-address = \"10.1.0.10\" "
#define ALICE(rest) S("terminal alice { " ME HOME "\n" rest "\n}\n")
#define SCERT	    "certificate = \"@/vpn.pem\" private-key = \"@/vpn.key\" " CA
#define SC(rest)    SI("id = \"vpn.example.org\" " SCERT) rest "\n" /* at line 6 */

static char directory[] = "/tmp/sojourn-config-XXXXXX";

/* --- texts */

static inline char *at_directory(const char *text)
{
	size_t len = strlen(text) + 1, n = 0;

	for (const char *p = text; *p; p++)
		len += *p == '@' && p[1] == '/' ? strlen(directory) : 0;
	char *out = mem_zalloc(len);
	for (const char *p = text; *p; p++) {
		if (*p == '@' && p[1] == '/')
			n += (size_t)snprintf(out + n, len - n, "%s", directory);
		else
			out[n++] = *p;
	}
	return out;
}

static inline void write_at(const char *name, const char *data, size_t len, mode_t mode)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	unlink(path);
	FILE *f = fopen(path, "w");
	assert_non_null(f);
	assert_int_equal(fwrite(data, 1, len, f), len);
	fclose(f);
	assert_int_equal(chmod(path, mode), 0);
}

static inline struct config *load(const char *text, struct err *err)
{
	char path[128];
	char *full CLEANUP_FREE = at_directory(text);

	write_at("t.conf", full, strlen(full), 0600);
	snprintf(path, sizeof(path), "%s/t.conf", directory);
	return config_load(path, err);
}

static inline struct config *load_good(const char *text)
{
	struct err err = {""};
	struct config *c = load(text, &err);
	if (!c)
		fail_msg("refused: %s\n%s", err.text, text);
	return c;
}

static inline bool shows_secret(const char *message)
{
	static const char *const secrets[] = {HEX32, SECRET, PASS};
	char low[sizeof(((struct err *)0)->text)];
	size_t n = 0;

	for (; message[n]; n++)
		low[n] = (char)tolower((unsigned char)message[n]);
	low[n] = '\0';
	for (size_t k = 0; k < ARRAY_LEN(secrets); k++) {
		for (size_t i = 0; i + 8 <= strlen(secrets[k]); i++) {
			char part[9] = "";
			memcpy(part, secrets[k] + i, 8);
			if (strstr(low, part))
				return true;
		}
	}
	return false;
}

/* --- the certificates */

static inline void write_text(const char *name, struct pki_text text, mode_t mode)
{
	write_at(name, text.data, text.len, mode);
	pki_text_free(&text);
}

static inline int rig_setup(void **state)
{
	(void)state;
	assert_non_null(mkdtemp(directory));
	struct pki ca = pki_ca("O=Test, CN=CA");
	struct pki alice = pki_leaf(&ca, PKI_P256, "O=Test, CN=alice", "email:alice@example.org");
	struct pki vpn = pki_leaf(&ca, PKI_P256, "O=Test, CN=vpn", "DNS:vpn.example.org");
	struct pki rsa = pki_leaf(&ca, PKI_RSA2048, "O=Test, CN=rsa", NULL);
	struct pki_crl_spec crl = {0};

	write_text("ca.pem", pki_cert_pem(&ca), 0644);
	write_text("open-ca.pem", pki_cert_pem(&ca), 0666);
	write_text("ca.der", pki_cert_der(&ca), 0644);
	write_text("ca.crl", pki_crl_pem(&ca, &crl), 0644);
	write_text("alice.pem", pki_cert_pem(&alice), 0644);
	write_text("alice.key", pki_key_pem(&alice), 0600);
	write_text("open.key", pki_key_pem(&alice), 0644);
	write_text("vpn.pem", pki_cert_pem(&vpn), 0644);
	write_text("vpn.key", pki_key_pem(&vpn), 0600);
	write_text("rsa.pem", pki_cert_pem(&rsa), 0644);
	write_text("rsa.key", pki_key_pem(&rsa), 0600);
	write_at("secret", SECRET "\n", strlen(SECRET) + 1, 0600);
	write_at("password", PASS "\n", strlen(PASS) + 1, 0600);
	write_at("open-secret", SECRET "\n", strlen(SECRET) + 1, 0644);
	write_at("two-lines", SECRET "\n" SECRET, 2 * strlen(SECRET) + 1, 0600);
	pki_free(&rsa);
	pki_free(&vpn);
	pki_free(&alice);
	pki_free(&ca);
	return 0;
}

static inline int rig_teardown(void **state)
{
	static const char *const names[] = {"ca.der",	 "ca.pem",	"open-ca.pem", "ca.crl",
					    "alice.pem", "alice.key",	"open.key",    "vpn.pem",
					    "vpn.key",	 "rsa.pem",	"rsa.key",     "secret",
					    "password",	 "open-secret", "two-lines",   "t.conf"};
	char path[128];

	(void)state;
	for (size_t k = 0; k < ARRAY_LEN(names); k++) {
		snprintf(path, sizeof(path), "%s/%s", directory, names[k]);
		unlink(path);
	}
	return rmdir(directory);
}

#endif
