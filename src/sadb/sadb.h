/* SPDX-License-Identifier: MIT */
/* The SADB: inbound SAs by SPI (RFC 4301 4.4.2), looked up by the packet thread under RCU. */
#ifndef SADB_SADB_H
#define SADB_SADB_H

#include "sadb/sa.h"

struct sadb;

struct sadb *sadb_new(void);
void sadb_free(struct sadb *db);						  /* empty */
int sadb_add(struct sadb *db, struct sa *sa) __attribute__((warn_unused_result)); /* -EEXIST */
void sadb_remove(struct sadb *db, struct sa *sa); /* unpublishes; the caller frees by rcu */
struct sa *sadb_find(const struct sadb *db, uint32_t spi); /* in a read section */

#endif
