/* SPDX-License-Identifier: MIT */
/*
 * The SADB: a table of inbound SAs by SPI (RFC 4301 4.4.2).
 *
 * Control adds and removes; the packet thread looks up inside its read section.  Both are threads
 * registered with RCU (QSBR).  The table borrows the SAs.  Its hash has a random key, so that
 * nobody who can choose SPIs can choose which of them share a bucket.
 *
 * liburcu's own hash table was here before.  With a million SAs a lookup in it took tens of
 * microseconds when it had not grown yet, and several waits for memory when it had; its nodes are
 * in the SAs, so that nothing can be fetched ahead (sadb/rtable.h).
 */
#include "sadb/sadb.h"

#include <errno.h>
#include "base/mem.h"
#include "crypto/mac.h"
#include "sadb/rtable.h"

struct sadb {
	struct rtable table;
	uint64_t seed;
};

/* Multiplication and shifts that let every bit of the input reach every bit of the output. */
static uint32_t sadb_hash(const struct sadb *db, uint32_t spi)
{
	uint64_t h = (db->seed ^ spi) * 0x9e3779b97f4a7c15u;
	h = (h ^ h >> 32) * (db->seed | 1);
	return (uint32_t)(h >> 32);
}

struct sadb *sadb_new(void)
{
	struct sadb *db = mem_zalloc(sizeof(*db));
	random_bytes(&db->seed, sizeof(db->seed));
	rtable_init(&db->table);
	return db;
}

void sadb_free(struct sadb *db)
{
	if (!db)
		return;
	rtable_clear(&db->table);
	free(db);
}

static bool sadb_match(const void *item, const void *key)
{
	return ((const struct sa *)item)->spi == *(const uint32_t *)key;
}

int sadb_add(struct sadb *db, struct sa *sa)
{
	if (sadb_find(db, sa->spi))
		return -EEXIST;
	rtable_add(&db->table, sadb_hash(db, sa->spi), sa);
	return 0;
}

void sadb_remove(struct sadb *db, struct sa *sa)
{
	rtable_remove(&db->table, sadb_hash(db, sa->spi), sa);
}

struct sa *sadb_find(const struct sadb *db, uint32_t spi)
{
	return rtable_find(&db->table, sadb_hash(db, spi), sadb_match, &spi);
}

void sadb_prefetch(const struct sadb *db, uint32_t spi)
{
	rtable_prefetch(&db->table, sadb_hash(db, spi));
}

void sadb_prefetch_sa(const struct sadb *db, uint32_t spi)
{
	const void *sa = rtable_peek(&db->table, sadb_hash(db, spi));
	if (sa)
		sa_prefetch_first(sa);
}
