/* SPDX-License-Identifier: MIT */
/*
 * The SADB: inbound SAs by SPI (RFC 4301 4.4.2), looked up by the packet thread under RCU.
 *
 * With very many SAs a lookup waits for memory two or three times in a row.  For a batch of packets
 * these waits are spent together, in steps that each go over a part of the batch:
 *
 *   sadb_prefetch(db, spi)       for each packet: the line of the table
 *   sadb_prefetch_sa(db, spi)    for each: what that line says
 *   sa = sadb_find(db, spi)      for each, then sa_prefetch_in(sa) (sadb/sa.h): what hangs
 *                                on the SA
 *
 * None of them is needed for a right answer.
 */
#ifndef SADB_SADB_H
#define SADB_SADB_H

#include "sadb/sa.h"

struct sadb;

struct sadb *sadb_new(void);
void sadb_free(struct sadb *db);						  /* empty */
int sadb_add(struct sadb *db, struct sa *sa) __attribute__((warn_unused_result)); /* -EEXIST */
void sadb_remove(struct sadb *db, struct sa *sa); /* unpublishes; the caller frees by rcu */
struct sa *sadb_find(const struct sadb *db, uint32_t spi); /* in a read section */
void sadb_prefetch(const struct sadb *db, uint32_t spi);
void sadb_prefetch_sa(const struct sadb *db, uint32_t spi);

#endif
