/* SPDX-License-Identifier: MIT */
/* EAP, its methods against each other, and against nobody's packets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <openssl/ssl.h>
#include "eap_rig.h"
#include "vectors.h"

static void expect_success(struct eap_rig *r)
{
	uint8_t a[EAP_MSK_LEN], b[EAP_MSK_LEN], zero[EAP_MSK_LEN] = {0};

	rig_run(r);
	if (r->server_status != EAP_SUCCESS || r->client_status != EAP_SUCCESS)
		print_error("server \"%s\", client \"%s\"\n", eap_reason(r->s), eap_reason(r->c));
	assert_int_equal(r->server_status, EAP_SUCCESS);
	assert_int_equal(r->client_status, EAP_SUCCESS);
	assert_true(eap_msk(r->s, a));
	assert_true(eap_msk(r->c, b));
	assert_memory_equal(a, b, sizeof(a));
	assert_memory_not_equal(a, zero, sizeof(a));
}

static void test_mschapv2_succeeds(void **state)
{
	struct eap_rig *r = *state;
	expect_success(r);
	assert_string_equal(eap_identity(r->s), RIG_USER);
}

static void test_tls_1_3_succeeds(void **state)
{
	struct eap_rig *r = *state;
	rig_use_tls(r, TLS1_3_VERSION);
	expect_success(r);
	assert_string_equal(eap_identity(r->s), RIG_USER);
}

static void test_tls_1_2_succeeds(void **state)
{
	struct eap_rig *r = *state;
	rig_use_tls(r, TLS1_2_VERSION);
	expect_success(r);
	assert_string_equal(eap_identity(r->s), RIG_USER);
}

static int set_up(void **state)
{
	*state = rig_new();
	return 0;
}

static int tear_down(void **state)
{
	rig_free(*state);
	return 0;
}

#define RIG_TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    RIG_TEST(test_mschapv2_succeeds),
	    RIG_TEST(test_tls_1_3_succeeds),
	    RIG_TEST(test_tls_1_2_succeeds),
	};
	eap_warm_up();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
