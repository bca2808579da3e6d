/* SPDX-License-Identifier: MIT */
/*
 * The SADB: a lock-free hash table of inbound SAs by SPI (RFC 4301 4.4.2).
 *
 * Control adds and removes; the packet thread looks up inside its read section.  Both are threads
 * registered with RCU (QSBR).  The table borrows the SAs.  Its hash has a random key, so that
 * nobody who can choose SPIs can choose which of them share a bucket.
 */
#include "sadb/sadb.h"

#include <errno.h>
#include "base/mem.h"
#include "crypto/mac.h"

#define SADB_BUCKETS_MIN 64

struct sadb {
	struct cds_lfht *table;
	uint64_t seed;
};

/* Multiplication and shifts that let every bit of the input reach every bit of the output. */
static unsigned long sadb_hash(const struct sadb *db, uint32_t spi)
{
	uint64_t h = (db->seed ^ spi) * 0x9e3779b97f4a7c15u;
	h = (h ^ h >> 32) * (db->seed | 1);
	return (unsigned long)(h ^ h >> 29);
}

struct sadb *sadb_new(void)
{
	struct sadb *db = mem_zalloc(sizeof(*db));
	random_bytes(&db->seed, sizeof(db->seed));
	db->table = cds_lfht_new_flavor(SADB_BUCKETS_MIN, SADB_BUCKETS_MIN, 0, CDS_LFHT_AUTO_RESIZE,
					&rcu_flavor, NULL);
	if (!db->table) {
		free(db);
		return NULL;
	}
	return db;
}

void sadb_free(struct sadb *db)
{
	if (!db)
		return;
	/* Fails only when SAs are left, which is against the contract: then it stays. */
	(void)cds_lfht_destroy(db->table, NULL);
	free(db);
}

static int sadb_match(struct cds_lfht_node *node, const void *key)
{
	return caa_container_of(node, struct sa, node)->spi == *(const uint32_t *)key;
}

int sadb_add(struct sadb *db, struct sa *sa)
{
	cds_lfht_node_init(&sa->node);
	rcu_read_lock();
	struct cds_lfht_node *there =
	    cds_lfht_add_unique(db->table, sadb_hash(db, sa->spi), sadb_match, &sa->spi, &sa->node);
	rcu_read_unlock();
	return there == &sa->node ? 0 : -EEXIST;
}

void sadb_remove(struct sadb *db, struct sa *sa)
{
	rcu_read_lock();
	(void)cds_lfht_del(db->table, &sa->node);
	rcu_read_unlock();
}

struct sa *sadb_find(const struct sadb *db, uint32_t spi)
{
	struct cds_lfht_iter iter;
	cds_lfht_lookup(db->table, sadb_hash(db, spi), sadb_match, &spi, &iter);
	struct cds_lfht_node *node = cds_lfht_iter_get_node(&iter);
	return node ? caa_container_of(node, struct sa, node) : NULL;
}
