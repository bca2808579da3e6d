/* SPDX-License-Identifier: MIT */
/*
 * How fast packets are sealed and opened: crypt_seal and crypt_open as the packet path calls them,
 * beside the library alone on the same buffers in the same order.
 *
 *	crypto [--rounds N] [--ms N] [--keys N] [--only NAME] [--json FILE]
 *
 * A burst of packets lies one behind the other, as in the packet path's arena.  Headers and numbers
 * are written, and packets to be opened are sealed, while the clock does not count.
 */
#include <getopt.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include "base/cursor.h"
#include "base/mem.h"
#include "crypto.h"

#define BURST	   64
#define ROUNDS_MAX 99
#define HEAD_LEN   8 /* SPI and number */
#define SPI	   0x50100001u
#define SEQ_HI	   1u
#define KEY_MAX	   128
#define BOUND_NAME "aes128-gcm-1400-"
#define BOUND	   0.85

static const uint32_t sizes[] = {64, 512, 1400};

struct options {
	unsigned rounds;
	uint64_t ns;
	uint32_t keys;
	const char *only, *json;
};

/* --- one library, algorithm, direction and size */

struct rig {
	char name[80];
	const struct alg *encr, *integ;
	enum crypt_direction direction;
	struct crypt *seal, *open;
	struct crypt_worker *worker, *other; /* measured; for what comes before and after */
	struct bare *bare;
	uint32_t number, text_len, icv_len;
	struct bare_packet packets[BURST];
	struct crypt_op ops[BURST];
	uint8_t icvs[BURST][BARE_MAC_MAX];
	uint8_t *arena;
};

static struct crypt *crypt_make(const struct rig *r, const uint8_t *key,
				enum crypt_direction direction)
{
	struct err err;
	struct crypt *c =
	    crypt_new(r->encr, r->integ, key, crypt_key_len(r->encr, r->integ), direction, &err);
	if (!c)
		die("%s", err.text);
	return c;
}

static struct crypt_worker *worker_make(enum crypt_library library)
{
	struct err err;
	struct crypt_worker *w = crypt_worker_new(library, 0, &err);
	if (!w)
		die("%s", err.text);
	return w;
}

static void lay_out(struct rig *r, uint32_t size)
{
	uint32_t block = r->encr->block_len, iv_len = r->encr->iv_len;
	r->icv_len = r->integ ? r->integ->icv_len : r->encr->icv_len;
	r->text_len = (size + block - 1) / block * block;
	uint32_t len = HEAD_LEN + iv_len + r->text_len + r->icv_len;
	r->arena = mem_zalloc((size_t)len * BURST);
	for (unsigned i = 0; i < BURST; i++) {
		uint8_t *esp = r->arena + (size_t)len * i;
		r->packets[i] = (struct bare_packet){
		    .esp = esp,
		    .iv = esp + HEAD_LEN,
		    .text = esp + HEAD_LEN + iv_len,
		    .icv = esp + len - r->icv_len,
		    .len = len,
		    .text_len = r->text_len,
		    .hashed_len = len - r->icv_len + 4,
		};
		r->ops[i] =
		    (struct crypt_op){.esp = esp, .len = len, .seq_hi = SEQ_HI, .esn = true};
	}
}

static void rig_free(struct rig *r)
{
	crypt_worker_free(r->worker);
	crypt_worker_free(r->other);
	crypt_free(r->seal);
	crypt_free(r->open);
	bare_free(r->bare);
	free(r->arena);
	free(r);
}

/* NULL: not here. */
static struct rig *rig_new(enum crypt_library library, const struct alg *encr,
			   const struct alg *integ, enum crypt_direction direction, uint32_t size)
{
	uint8_t key[KEY_MAX];
	for (unsigned i = 0; i < sizeof(key); i++)
		key[i] = (uint8_t)(i * 7 + 1);
	if (!crypt_library_usable(library))
		return NULL;
	struct rig *r = mem_zalloc(sizeof(*r));
	r->encr = encr;
	r->integ = integ;
	r->direction = direction;
	snprintf(r->name, sizeof(r->name), "%s%s%s-%u-%s%s", encr->name, integ ? "-" : "",
		 integ ? integ->name : "", size, direction == CRYPT_SEAL ? "seal" : "open",
		 library == CRYPT_LIBRARY_OPENSSL ? "-openssl" : "");
	r->seal = crypt_make(r, key, CRYPT_SEAL);
	r->open = crypt_make(r, key, CRYPT_OPEN);
	r->worker = worker_make(library);
	r->other = worker_make(CRYPT_LIBRARY_BEST);
	r->bare = bare_new(library, encr, integ, key, direction);
	memcpy(r->packets[0].nonce, key + encr->key_len - encr->salt_len, encr->salt_len);
	lay_out(r, size);
	for (unsigned i = 0; i < BURST; i++)
		memcpy(r->packets[i].nonce, key + encr->key_len - encr->salt_len, encr->salt_len);
	return r;
}

static void ops_under(struct rig *r, const struct crypt *c)
{
	for (unsigned i = 0; i < BURST; i++)
		r->ops[i].crypt = c;
}

static void ops_must(const struct rig *r)
{
	for (unsigned i = 0; i < BURST; i++)
		if (!r->ops[i].ok)
			die("%s: a packet failed", r->name);
}

/* What the library alone is given besides the key and the packet. */
static void prepare_bare(struct rig *r)
{
	for (struct bare_packet *p = r->packets; p < r->packets + BURST; p++) {
		struct writer w = writer_of(p->iv, 8);
		if (r->direction == CRYPT_SEAL && r->encr->iv_len) {
			writer_u32(&w, SEQ_HI);
			writer_bytes(&w, p->esp + 4, 4);
		}
		if (r->integ) {
			memcpy(r->icvs[p - r->packets], p->icv, r->icv_len);
			w = writer_of(p->icv, 4);
			writer_u32(&w, SEQ_HI);
			continue;
		}
		memcpy(p->nonce + 4, p->iv, 8);
		w = writer_of(p->aad, sizeof(p->aad));
		writer_bytes(&w, p->esp, 4);
		writer_u32(&w, SEQ_HI);
		writer_bytes(&w, p->esp + 4, 4);
	}
}

static void prepare(struct rig *r, bool bare)
{
	for (unsigned i = 0; i < BURST; i++) {
		struct writer w = writer_of(r->packets[i].esp, HEAD_LEN);
		writer_u32(&w, SPI);
		writer_u32(&w, ++r->number);
	}
	if (r->direction == CRYPT_OPEN) {
		ops_under(r, r->seal);
		crypt_seal(r->other, r->ops, BURST);
		ops_must(r);
	}
	if (bare)
		prepare_bare(r);
	ops_under(r, r->direction == CRYPT_SEAL ? r->seal : r->open);
}

/* Both must have done the same. */
static void check(struct rig *r, bool bare, enum crypt_library library)
{
	if (r->direction == CRYPT_SEAL) {
		ops_under(r, r->open);
		crypt_open(r->other, r->ops, BURST);
		ops_must(r);
		return;
	}
	if (!bare) {
		ops_must(r);
		return;
	}
	if (!r->integ && library == CRYPT_LIBRARY_OPENSSL)
		return;
	for (unsigned i = 0; i < BURST; i++) {
		const struct bare_packet *p = &r->packets[i];
		if (memcmp(p->mac, r->integ ? r->icvs[i] : p->icv, r->icv_len) != 0)
			die("%s: the library alone finds another ICV", r->name);
	}
}

static uint64_t burst(struct rig *r, bool bare)
{
	prepare(r, bare);
	uint64_t began = now_ns();
	if (bare)
		bare_run(r->bare, r->packets, BURST);
	else if (r->direction == CRYPT_SEAL)
		crypt_seal(r->worker, r->ops, BURST);
	else
		crypt_open(r->worker, r->ops, BURST);
	return now_ns() - began;
}

/* ns for each packet. */
static double run(struct rig *r, bool bare, enum crypt_library library, uint64_t ns)
{
	uint64_t done = 0, packets = 0;
	(void)burst(r, bare);
	for (; done < ns; packets += BURST)
		done += burst(r, bare);
	check(r, bare, library);
	return (double)done / (double)packets;
}

static void measure(struct rig *r, enum crypt_library library, const struct options *o,
		    json_t *rows)
{
	double list[2][ROUNDS_MAX];
	for (unsigned i = 0; i < 2 * o->rounds; i++)
		list[i % 2][i / 2] = run(r, i % 2, library, o->ns);
	double ours = median(list[0], o->rounds), bare = median(list[1], o->rounds);
	double bits = r->text_len * 8.0;
	printf("%-44s %7.2f %7.2f %6.1f %% %8.1f %8.1f\n", r->name, bits / ours, bits / bare,
	       100 * bare / ours, ours, bare);
	json_array_append_new(rows, json_pack("{s:s,s:s,s:f,s:f,s:f,s:f}", "name", r->name, "unit",
					      "gbit_s", "sojourn", bits / ours, "bare", bits / bare,
					      "sojourn_ns", ours, "bare_ns", bare));
}

/* --- all of them */

static void measure_pair(const struct alg *encr, const struct alg *integ, const struct options *o,
			 json_t *rows)
{
	static const enum crypt_library libraries[] = {CRYPT_LIBRARY_IPSEC_MB,
						       CRYPT_LIBRARY_OPENSSL};
	for (unsigned l = 0; l < ARRAY_LEN(libraries); l++)
		for (unsigned s = 0; s < ARRAY_LEN(sizes); s++)
			for (unsigned d = CRYPT_SEAL; d <= CRYPT_OPEN; d++) {
				struct rig *r = rig_new(libraries[l], encr, integ, d, sizes[s]);
				if (!r)
					continue;
				if (!o->only || strncmp(r->name, o->only, strlen(o->only)) == 0)
					measure(r, libraries[l], o, rows);
				rig_free(r);
			}
}

static bool usable(const struct alg *a, enum alg_kind kind)
{
	return a->kind == kind && a->status != ALG_FORBIDDEN && !a->encrypts_nothing;
}

static json_t *measure_all(const struct options *o)
{
	json_t *rows = json_array();
	const struct alg *encr, *integ;
	printf("%-44s %7s %7s %8s %8s %8s\n", "Gbit/s of text; ns for each packet", "sojourn",
	       "bare", "of bare", "sojourn", "bare");
	for (size_t i = 0; (encr = alg_at(i)); i++)
		if (usable(encr, ALG_AEAD))
			measure_pair(encr, NULL, o, rows);
	for (size_t i = 0; (encr = alg_at(i)); i++)
		for (size_t k = 0; usable(encr, ALG_ENCRYPTION) && (integ = alg_at(k)); k++)
			if (usable(integ, ALG_INTEGRITY))
				measure_pair(encr, integ, o, rows);
	return rows;
}

static json_t *bounds(const json_t *rows)
{
	json_t *found = json_array(), *row;
	size_t i;
	json_array_foreach((json_t *)rows, i, row)
	{
		const char *name = json_string_value(json_object_get(row, "name"));
		if (strncmp(name, BOUND_NAME, strlen(BOUND_NAME)) != 0 || strstr(name, "openssl"))
			continue;
		double of = json_real_value(json_object_get(row, "sojourn")) /
			    json_real_value(json_object_get(row, "bare"));
		printf("required: %-30s %.3f of bare, at least %.2f: %s\n", name, of, BOUND,
		       of >= BOUND ? "met" : "MISSED");
		json_array_append_new(found,
				      json_pack("{s:s,s:f,s:f,s:b}", "name", name, "at_least",
						BOUND, "value", of, "met", of >= BOUND));
	}
	return found;
}

/* --- keys whose schedule is not there */

static double run_keys(struct rig *r, struct crypt *const *keys, uint32_t count, uint64_t ns)
{
	static uint64_t random = 1;
	uint64_t done = 0, packets = 0;
	for (; done < ns; packets += BURST) {
		prepare(r, false);
		for (unsigned i = 0; i < BURST; i++)
			r->ops[i].crypt = keys[(rnd(&random) >> 32) * count >> 32];
		uint64_t began = now_ns();
		crypt_seal(r->worker, r->ops, BURST);
		done += now_ns() - began;
		ops_must(r);
	}
	return (double)done / (double)packets;
}

static void measure_keys(const struct options *o, uint32_t size, struct crypt *const *keys,
			 json_t *out)
{
	double list[2][ROUNDS_MAX];
	struct rig *r = rig_new(CRYPT_LIBRARY_BEST, alg_find("aes128-gcm"), NULL, CRYPT_SEAL, size);
	for (unsigned i = 0; i < 2 * o->rounds; i++)
		list[i % 2][i / 2] = run_keys(r, keys, i % 2 ? o->keys : 1, o->ns);
	double one = median(list[0], o->rounds), all = median(list[1], o->rounds);
	printf("aes128-gcm, %4u B sealed: %.0f ns under one key, %.0f ns under %u at random\n",
	       size, one, all, o->keys);
	json_array_append_new(out, json_pack("{s:I,s:I,s:f,s:f}", "size", (json_int_t)size, "keys",
					     (json_int_t)o->keys, "ns_1", one, "ns_all", all));
	rig_free(r);
}

static json_t *measure_misses(const struct options *o)
{
	json_t *out = json_array();
	struct crypt **keys = mem_zalloc(o->keys * sizeof(struct crypt *));
	struct rig like = {.encr = alg_find("aes128-gcm")};
	uint8_t key[KEY_MAX] = {0};
	for (uint32_t i = 0; i < o->keys; i++) {
		memcpy(key, &i, sizeof(i));
		keys[i] = crypt_make(&like, key, CRYPT_SEAL);
	}
	for (unsigned s = 0; s < ARRAY_LEN(sizes); s++)
		measure_keys(o, sizes[s], keys, out);
	for (uint32_t i = 0; i < o->keys; i++)
		crypt_free(keys[i]);
	free(keys);
	return out;
}

/* --- options */

static struct options options_read(int argc, char **argv)
{
	static const struct option longs[] = {
	    {"rounds", required_argument, NULL, 'r'}, {"ms", required_argument, NULL, 'm'},
	    {"keys", required_argument, NULL, 'k'},   {"only", required_argument, NULL, 'o'},
	    {"json", required_argument, NULL, 'j'},   {0}};
	struct options o = {.rounds = 5, .ns = 50000000, .keys = 100000};
	for (int c; (c = getopt_long(argc, argv, "", longs, NULL)) != -1;) {
		switch (c) {
		case 'r':
			o.rounds = (unsigned)number(optarg);
			break;
		case 'm':
			o.ns = number(optarg) * 1000000;
			break;
		case 'k':
			o.keys = (uint32_t)number(optarg);
			break;
		case 'o':
			o.only = optarg;
			break;
		case 'j':
			o.json = optarg;
			break;
		default:
			exit(2);
		}
	}
	if (o.rounds > ROUNDS_MAX)
		die("at most %u rounds", ROUNDS_MAX);
	return o;
}

int main(int argc, char **argv)
{
	struct options o = options_read(argc, argv);
	setvbuf(stdout, NULL, _IOLBF, 0);
	pin_to(1);
	struct crypt_worker *w = worker_make(CRYPT_LIBRARY_BEST);
	printf("%s, bursts of %u packets, medians of %u\n", crypt_worker_library(w), BURST,
	       o.rounds);
	json_t *out = json_pack("{s:s}", "library", crypt_worker_library(w));
	crypt_worker_free(w);
	json_t *rows = measure_all(&o);
	json_object_set_new(out, "rows", rows);
	json_object_set_new(out, "schedule_misses", measure_misses(&o));
	json_object_set_new(out, "bounds", bounds(rows));
	if (o.json && json_dump_file(out, o.json, JSON_INDENT(1) | JSON_REAL_PRECISION(6)) != 0)
		die("%s cannot be written", o.json);
	json_decref(out);
	return 0;
}
