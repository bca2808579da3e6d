/* SPDX-License-Identifier: MIT */
/*
 * A process that warmed up needs no file any more: in children whose opening of files is fatal,
 * everything of IKE's cryptography is used.  A child that did not warm up shows that the trap
 * works.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>
#include <openssl/err.h>
#include <seccomp.h>
#include "base/mem.h"
#include "crypto/ike_seal.h"
#include "crypto/legacy.h"
#include "crypto/mac.h"
#include "crypto/suite.h"
#include "crypto/warm.h"

#define FAILED 77

static void forbid_files(void)
{
	static const int calls[] = {SCMP_SYS(open),   SCMP_SYS(openat),	 SCMP_SYS(openat2),
				    SCMP_SYS(creat),  SCMP_SYS(stat),	 SCMP_SYS(newfstatat),
				    SCMP_SYS(access), SCMP_SYS(readlink)};
	scmp_filter_ctx f = seccomp_init(SCMP_ACT_ALLOW);
	bool ok = f != NULL;
	for (size_t i = 0; ok && i < ARRAY_LEN(calls); i++)
		ok = seccomp_rule_add(f, SCMP_ACT_KILL_PROCESS, calls[i], 0) == 0;
	if (!ok || seccomp_load(f) != 0)
		_exit(FAILED);
	seccomp_release(f);
}

static void use_groups(void)
{
	uint8_t value[KEX_PUBLIC_MAX], secret[KEX_SECRET_MAX];
	for (uint16_t id = 0; id < 64; id++) {
		const struct kex_group *g = kex_by_id(id);
		if (!g)
			continue;
		struct kex *k = kex_new(g);
		if (!k || kex_public(k, value) != 0 ||
		    kex_shared(k, value, g->public_len, secret) != 0)
			_exit(FAILED);
		/* what goes wrong needs no file either */
		memset(value, 0, sizeof(value));
		if (kex_shared(k, value, g->public_len, secret) == 0)
			_exit(FAILED);
		kex_free(k);
	}
}

static void use_all(void)
{
	uint8_t out[300], msg[200] = {0}, *inner;
	size_t len;
	struct chunk part = {msg, 20};
	struct ike_seal s = {.encr = alg_find("aes256-cbc"), .integ = alg_find("hmac-sha-512-256")};
	struct ike_seal aead = {.encr = alg_find("chacha20-poly1305")};
	char text[200];
	random_bytes(out, 32);
	use_groups();
	if (legacy_md4(msg, 20, out) != 0 || legacy_des(msg, msg, out) != 0 ||
	    prf_plus(prf_by_id(7), msg, 20, &part, 1, out, sizeof(out)) != 0 ||
	    digest_compute("SHA1", &part, 1, out, &len) != 0 ||
	    !(len = ike_seal(&s, msg, sizeof(msg), 32, 50, 1)) ||
	    !ike_open(&s, msg, len, 32, &inner, &len) ||
	    !(len = ike_seal(&aead, msg, sizeof(msg), 32, 50, 1)))
		_exit(FAILED);
	msg[40] ^= 1;
	if (ike_open(&aead, msg, len, 32, &inner, &len))
		_exit(FAILED);
	ERR_error_string_n(ERR_PACK(ERR_LIB_EC, 0, 107), text, sizeof(text));
}

/* The child's wait status. */
static int in_child(bool warm)
{
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		if (warm)
			crypto_warm_up();
		forbid_files();
		use_all();
		_exit(0);
	}
	int status = 0;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static void test_cold_process_opens_files(void **state)
{
	(void)state;
	int status = in_child(false);
	assert_true(WIFSIGNALED(status));
}

static void test_warm_process_opens_none(void **state)
{
	(void)state;
	int status = in_child(true);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_cold_process_opens_files),
	    cmocka_unit_test(test_warm_process_opens_none),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
