/* SPDX-License-Identifier: MIT */
#include "base/hash.h"

#include <stdlib.h>
#include <string.h>
#include "base/mem.h"

#define CHAINS_LEAST 16

static void put(struct hash *h, struct hash_link *l)
{
	struct hash_link **head = &h->chains[l->hash & (h->chain_count - 1)];
	l->next = *head;
	if (l->next)
		l->next->at = &l->next;
	l->at = head;
	*head = l;
}

static void grow(struct hash *h)
{
	struct hash_link **old = h->chains;
	size_t old_count = h->chain_count;
	h->chain_count = old_count ? old_count * 2 : CHAINS_LEAST;
	h->chains = mem_zalloc(h->chain_count * sizeof(struct hash_link *));
	for (size_t i = 0; i < old_count; i++) {
		/* Putting in front turns a chain round; turn it first, so that it stays. */
		struct hash_link *turned = NULL;
		for (struct hash_link *l = old[i], *next; l; l = next) {
			next = l->next;
			l->next = turned;
			turned = l;
		}
		for (struct hash_link *l = turned, *next; l; l = next) {
			next = l->next;
			put(h, l);
		}
	}
	free(old);
}

void hash_add(struct hash *h, struct hash_link *l, uint64_t hash)
{
	if (h->count >= h->chain_count)
		grow(h);
	l->hash = hash;
	put(h, l);
	h->count++;
}

void hash_remove(struct hash *h, struct hash_link *l)
{
	if (!l->at)
		return;
	*l->at = l->next;
	if (l->next)
		l->next->at = l->at;
	l->next = NULL;
	l->at = NULL;
	h->count--;
}

static struct hash_link *with_hash(struct hash_link *l, uint64_t hash)
{
	while (l && l->hash != hash)
		l = l->next;
	return l;
}

struct hash_link *hash_find(const struct hash *h, uint64_t hash)
{
	return h->count ? with_hash(h->chains[hash & (h->chain_count - 1)], hash) : NULL;
}

struct hash_link *hash_next(const struct hash_link *l)
{
	return with_hash(l->next, l->hash);
}

void hash_clear(struct hash *h)
{
	free(h->chains);
	*h = (struct hash){0};
}

static uint64_t rotate(uint64_t v, unsigned bits)
{
	return v << bits | v >> (64 - bits);
}

static void sip_round(uint64_t v[4])
{
	v[0] += v[1];
	v[2] += v[3];
	v[1] = rotate(v[1], 13) ^ v[0];
	v[3] = rotate(v[3], 16) ^ v[2];
	v[0] = rotate(v[0], 32);
	v[2] += v[1];
	v[0] += v[3];
	v[1] = rotate(v[1], 17) ^ v[2];
	v[3] = rotate(v[3], 21) ^ v[0];
	v[2] = rotate(v[2], 32);
}

/* SipHash-1-3 (Aumasson, Bernstein), with the 64-bit key in both halves of its own. */
uint64_t hash_bytes(uint64_t key, const void *data, size_t len)
{
	uint64_t other = rotate(key, 29) ^ 0x9e3779b97f4a7c15u;
	uint64_t v[4] = {key ^ 0x736f6d6570736575u, other ^ 0x646f72616e646f6du,
			 key ^ 0x6c7967656e657261u, other ^ 0x7465646279746573u};
	const uint8_t *p = data;
	size_t left = len;
	for (; left >= 8; p += 8, left -= 8) {
		uint64_t word;
		memcpy(&word, p, 8);
		v[3] ^= word;
		sip_round(v);
		v[0] ^= word;
	}
	uint64_t last = (uint64_t)len << 56;
	if (left)
		memcpy(&last, p, left);
	v[3] ^= last;
	sip_round(v);
	v[0] ^= last;
	v[2] ^= 0xff;
	for (int i = 0; i < 3; i++)
		sip_round(v);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}
