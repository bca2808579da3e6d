/* SPDX-License-Identifier: MIT */
/* Sequence spaces, SAs and the SADB that finds them, also while another thread changes it. */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include "base/mem.h"
#include "sadb/sadb.h"
#include "wire/esp.h"

static const uint8_t test_key[128] = {1, 2, 3, 4};

static struct sa_config config_of(uint32_t spi, const char *encr, const char *integ,
				  struct peer *peer)
{
	const struct alg *e = alg_find(encr), *i = integ ? alg_find(integ) : NULL;
	return (struct sa_config){.spi = spi,
				  .encr = e,
				  .integ = i,
				  .key = test_key,
				  .key_len = crypt_key_len(e, i),
				  .esn = peer != NULL,
				  .peer = peer,
				  .replay_packets = 64};
}

static struct sa *must_new(const struct sa_config *cfg, enum crypt_direction direction)
{
	struct err err = {.text = ""};
	struct sa *sa = sa_new(cfg, direction, &err);
	if (!sa)
		fail_msg("%s", err.text);
	return sa;
}

static struct sa *simple_sa(uint32_t spi)
{
	struct sa_config cfg = config_of(spi, "null", "hmac-sha-256-128", NULL);
	return must_new(&cfg, CRYPT_OPEN);
}

/* --- spaces */

static void test_space(void **state)
{
	(void)state;
	struct space s = {0};
	space_init(&s, 64);
	assert_true(atomic_load(&s.next) == 1);
	assert_int_equal(atomic_load(&s.rx_epoch), 0);
	assert_true(replay_made(&s.window));
	assert_false(replay_primed(&s.window));
	assert_int_equal(replay_mark(&s.window, 70), REPLAY_NEW);
	assert_int_equal(replay_check(&s.window, 6), REPLAY_TOO_OLD);
	space_begin_epoch(&s, 0xfedcba98);
	assert_true(atomic_load(&s.next) == 0xfedcba98fedcba98u);
	assert_true(space_hello_number(1) == 0x100000001u);
	space_clear(&s);
	assert_false(replay_made(&s.window));
	space_clear(&s);
}

/* --- SAs */

static void test_sa_with_esn_borrows(void **state)
{
	(void)state;
	struct peer peer = {0};
	int conn = 0;
	space_init(&peer.space, 128);
	struct sa_config cfg = config_of(0x1000, "aes256-cbc", "hmac-sha-384-192", &peer);
	cfg.configured_keys = true;
	cfg.udp = true;
	cfg.soft_packets = 1;
	cfg.hard_packets = 2;
	cfg.soft_bytes = 3;
	cfg.hard_bytes = 4;
	cfg.conn = &conn;
	struct sa *in = must_new(&cfg, CRYPT_OPEN), *out = must_new(&cfg, CRYPT_SEAL);
	assert_int_equal(in->spi, 0x1000);
	assert_true(in->esn && in->configured_keys && in->udp);
	assert_int_equal(in->iv_len, 16);
	assert_int_equal(in->block_len, 16);
	assert_int_equal(in->icv_len, 24);
	assert_false(atomic_load(&in->active));
	assert_false(atomic_load(&in->dead));
	assert_ptr_equal(in->space, &peer.space);
	assert_ptr_equal(out->space, &peer.space);
	assert_ptr_equal(in->peer, &peer);
	assert_ptr_equal(in->conn, &conn);
	assert_int_equal(in->soft_packets, 1);
	assert_int_equal(in->hard_packets, 2);
	assert_int_equal(in->soft_bytes, 3);
	assert_int_equal(in->hard_bytes, 4);
	assert_null(in->path);
	sa_free(in);
	sa_free(out);
	assert_true(replay_made(&peer.space.window)); /* only borrowed */
	space_clear(&peer.space);
	sa_free(NULL);
}

static void test_sa_without_esn_owns(void **state)
{
	(void)state;
	static const struct {
		uint64_t hard, want;
	} limits[] = {{0, UINT32_MAX}, {1000, 1000}, {UINT64_MAX, UINT32_MAX}};
	struct peer peer = {0};
	for (size_t i = 0; i < ARRAY_LEN(limits); i++) {
		struct sa_config cfg = config_of(256, "aes128-cbc", "hmac-sha-1-96", NULL);
		cfg.peer = &peer;
		cfg.hard_packets = limits[i].hard;
		struct sa *in = must_new(&cfg, CRYPT_OPEN), *out = must_new(&cfg, CRYPT_SEAL);
		assert_ptr_equal(in->space, &in->own_space);
		assert_ptr_equal(out->space, &out->own_space);
		assert_true(atomic_load(&out->space->next) == 1);
		assert_true(replay_made(&in->space->window));
		assert_int_equal(replay_mark(&in->space->window, 100), REPLAY_NEW);
		assert_int_equal(replay_check(&in->space->window, 36), REPLAY_TOO_OLD);
		assert_true(in->hard_packets == limits[i].want);
		assert_true(out->hard_packets == limits[i].want);
		sa_free(in);
		sa_free(out);
	}
}

/* With ESN, and yet its own: no limit of 2^32, and the peer is not asked for a window. */
static void test_sa_own_space(void **state)
{
	(void)state;
	struct peer peer = {0};
	struct sa_config cfg = config_of(256, "aes128-cbc", "hmac-sha-256-128", &peer);
	cfg.esn = cfg.own_space = true;
	struct sa *in = must_new(&cfg, CRYPT_OPEN), *out = must_new(&cfg, CRYPT_SEAL);
	assert_ptr_equal(in->space, &in->own_space);
	assert_ptr_equal(out->space, &out->own_space);
	assert_true(replay_made(&in->space->window));
	assert_true(atomic_load(&out->space->next) == 1);
	assert_true(in->hard_packets == 0 && out->hard_packets == 0);
	sa_free(in);
	sa_free(out);
}

static void test_sa_directions_fit(void **state)
{
	(void)state;
	struct sa_config cfg = config_of(700, "aes128-gcm", NULL, NULL);
	struct sa *in = must_new(&cfg, CRYPT_OPEN), *out = must_new(&cfg, CRYPT_SEAL);
	assert_int_equal(in->icv_len, 16);
	uint8_t esp[8 + 8 + 8 + 16] = {0, 0, 2, 188, 0, 0, 0, 1};
	struct crypt_op op = {.crypt = out->crypt, .esp = esp, .len = sizeof(esp)};
	struct crypt_worker *worker = crypt_worker_new(CRYPT_LIBRARY_BEST, 1, NULL);
	crypt_seal(worker, &op, 1);
	assert_true(op.ok);
	op.crypt = in->crypt;
	crypt_open(worker, &op, 1);
	assert_true(op.ok);
	crypt_worker_free(worker);
	sa_free(in);
	sa_free(out);
}

static void test_sa_new_refuses(void **state)
{
	(void)state;
	struct peer no_window = {0};
	struct sa_config cfg = config_of(0, "null", "hmac-sha-256-128", NULL);
	struct err err;
	assert_null(sa_new(&cfg, CRYPT_OPEN, &err));
	assert_non_null(strstr(err.text, "SPI 0"));

	cfg = config_of(0xabc, "null", "hmac-sha-256-128", &no_window);
	assert_null(sa_new(&cfg, CRYPT_OPEN, &err));
	assert_non_null(strstr(err.text, "0x00000abc"));
	assert_non_null(strstr(err.text, "window"));

	cfg.peer = NULL;
	assert_null(sa_new(&cfg, CRYPT_SEAL, &err));
	assert_non_null(strstr(err.text, "peer"));

	cfg = config_of(0xabc, "aes128-cbc", "hmac-sha-256-128", NULL);
	cfg.key_len--;
	assert_null(sa_new(&cfg, CRYPT_OPEN, &err));
	assert_non_null(strstr(err.text, "48 bytes"));
}

static void test_path_is_replaced(void **state)
{
	(void)state;
	struct sa *sa = simple_sa(300);
	struct path *a = path_new(), *b = path_new();
	a->mtu = 1500;
	b->mtu = 1400;
	sa_set_path(sa, a);
	assert_ptr_equal(sa->path, a);
	sa_set_path(sa, b);
	assert_ptr_equal(sa->path, b);
	/* A reader may still hold it: this thread has not been quiet since. */
	assert_int_equal(a->mtu, 1500);
	sa_set_path(sa, NULL);
	assert_null(sa->path);
	a = mem_zalloc(sizeof(*a));
	sa_set_path(sa, a); /* freed with the SA */
	sa_free_later(sa);
	assert_int_equal(sa->spi, 300);
	rcu_quiescent_state();
	sa_free_later(NULL);
	rcu_barrier();
}

/* The largest inner packet fits and one byte more does not. */
static void test_inner_mtu(void **state)
{
	(void)state;
	static const struct {
		const char *encr, *integ;
		uint32_t room, inner;
	} rows[] = {
	    /* 1500 - 20 - 8 = 1472; - 8 - 16 - 16 = 1432 = 89.5 blocks */
	    {"aes128-cbc", "hmac-sha-256-128", 1472, 89 * 16 - 2},
	    {"aes128-cbc", "hmac-sha-512-256", 1472, 88 * 16 - 2},
	    {"aes256-cbc", "hmac-sha-1-96", 1472, 89 * 16 - 2},
	    {"null", "hmac-sha-256-128", 1472, 1448 - 2},
	    {"null", "hmac-sha-256-128", 1474, 1448 - 2},
	    {"aes256-gcm", NULL, 1472, 1440 - 2},
	    {"chacha20-poly1305", NULL, 1475, 1440 - 2},
	    {"aes128-cbc", "hmac-sha-256-128", 40, 0},
	    {"aes128-cbc", "hmac-sha-256-128", 55, 0},
	    {"aes128-cbc", "hmac-sha-256-128", 56, 14},
	    {"aes128-cbc", "hmac-sha-256-128", 0, 0},
	    {"null", "hmac-sha-256-128", 28, 2},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct sa_config cfg = config_of(300, rows[i].encr, rows[i].integ, NULL);
		struct sa *sa = must_new(&cfg, CRYPT_SEAL);
		assert_int_equal(sa_inner_mtu(sa, rows[i].room), rows[i].inner);
		size_t around = 8u + sa->iv_len + sa->icv_len;
		for (uint32_t room = 80; room < 200; room++) {
			uint32_t n = sa_inner_mtu(sa, room);
			assert_in_range(around + n + esp_pad_len(n, sa->block_len) + 2, 0, room);
			n++;
			assert_true(around + n + esp_pad_len(n, sa->block_len) + 2 > room);
		}
		sa_free(sa);
	}
}

/* --- the SADB */

static void test_sadb(void **state)
{
	(void)state;
	enum { N = 2000 };
	static struct sa *sas[N];
	struct sadb *db = sadb_new();
	assert_non_null(db);
	assert_null(sadb_find(db, 1));
	for (uint32_t i = 0; i < N; i++) {
		sas[i] = simple_sa(256 + i * 65536);
		assert_int_equal(sadb_add(db, sas[i]), 0);
	}
	struct sa *twin = simple_sa(256);
	assert_int_equal(sadb_add(db, twin), -EEXIST);
	sa_free(twin);
	for (uint32_t i = 0; i < N; i++) {
		assert_ptr_equal(sadb_find(db, 256 + i * 65536), sas[i]);
		assert_null(sadb_find(db, 257 + i * 65536));
	}
	for (uint32_t i = 0; i < N; i += 2) {
		sadb_remove(db, sas[i]);
		assert_null(sadb_find(db, sas[i]->spi));
		sa_free_later(sas[i]);
	}
	for (uint32_t i = 1; i < N; i += 2) {
		assert_ptr_equal(sadb_find(db, sas[i]->spi), sas[i]);
		sadb_remove(db, sas[i]);
		sa_free_later(sas[i]);
	}
	sadb_free(db);
	sadb_free(NULL);
	rcu_quiescent_state();
	rcu_barrier();
}

struct reading {
	struct sadb *db;
	_Atomic bool stop;
	_Atomic uint64_t hits;
};

static void *read_all_the_time(void *ctx)
{
	struct reading *r = ctx;
	rcu_register_thread();
	while (!atomic_load(&r->stop)) {
		rcu_read_lock();
		for (uint32_t spi = 256; spi < 256 + 32; spi++) {
			struct sa *sa = sadb_find(r->db, spi);
			/* Freed memory would be noticed by the address checker. */
			if (sa && sa->spi == spi && sa->space == &sa->own_space)
				atomic_fetch_add(&r->hits, 1);
		}
		rcu_read_unlock();
		rcu_quiescent_state();
	}
	rcu_unregister_thread();
	return NULL;
}

static void test_sadb_changes_under_a_reader(void **state)
{
	(void)state;
	struct reading r = {.db = sadb_new()};
	pthread_t thread;
	assert_int_equal(pthread_create(&thread, NULL, read_all_the_time, &r), 0);
	for (uint32_t i = 0; i < 2000 || (atomic_load(&r.hits) == 0 && i < 2000000); i++) {
		uint32_t spi = 256 + i % 32;
		struct sa *old = sadb_find(r.db, spi);
		if (old) {
			sadb_remove(r.db, old);
			sa_free_later(old);
		} else {
			assert_int_equal(sadb_add(r.db, simple_sa(spi)), 0);
		}
		rcu_quiescent_state();
	}
	atomic_store(&r.stop, true);
	rcu_thread_offline();
	pthread_join(thread, NULL);
	rcu_thread_online();
	assert_true(atomic_load(&r.hits) > 0);
	for (uint32_t spi = 256; spi < 256 + 32; spi++) {
		struct sa *sa = sadb_find(r.db, spi);
		if (sa) {
			sadb_remove(r.db, sa);
			sa_free_later(sa);
		}
	}
	sadb_free(r.db);
	rcu_quiescent_state();
	rcu_barrier();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_space),
	    cmocka_unit_test(test_sa_with_esn_borrows),
	    cmocka_unit_test(test_sa_without_esn_owns),
	    cmocka_unit_test(test_sa_own_space),
	    cmocka_unit_test(test_sa_directions_fit),
	    cmocka_unit_test(test_sa_new_refuses),
	    cmocka_unit_test(test_path_is_replaced),
	    cmocka_unit_test(test_inner_mtu),
	    cmocka_unit_test(test_sadb),
	    cmocka_unit_test(test_sadb_changes_under_a_reader),
	};
	rcu_register_thread();
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	rcu_unregister_thread();
	return failed;
}
