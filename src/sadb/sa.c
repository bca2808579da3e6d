/* SPDX-License-Identifier: MIT */
/*
 * Security associations (RFC 4301 4.4.2, RFC 4303): made whole by control, then published.
 *
 * An SA owns its key schedule, its path and, where it does not share the peer's, a sequence space;
 * it borrows its peer and the peer's space, which must outlive it.  Once published (in the SADB or
 * an active set) it leaves by sa_free_later, after a grace period in which the packet thread lets
 * go of it.
 *
 * The two SAs of a connection go the same way, so that the outbound one's path is lent to the
 * other.
 *
 * Without ESN a sequence number must never come round to 0 (RFC 4303 3.3.3): the hard packet limit
 * is never above 2^32 - 1.
 */
#include "sadb/sa.h"
#include "sadb/trial.h"

#include "base/lines.h"
#include "base/mem.h"
#include "wire/ah.h"
#include "wire/bare.h"
#include "wire/esp.h"

/* What a packet looks at, and what it changes, are a line each (sadb/sa.h). */
_Static_assert(offsetof(struct sa, soft_bytes) == SA_LINE, "the first line");
_Static_assert(offsetof(struct sa, told_mtu_us) == 2 * SA_LINE, "the second line");

const char *sa_mode_text(enum sa_mode mode)
{
	switch (mode) {
	case SA_TUNNEL:
		return "tunnel";
	case SA_TRANSPORT:
		return "transport";
	case SA_BEET:
		return "beet";
	}
	return "unknown";
}

static struct sa_pair *pair_new(const struct sa_config *cfg)
{
	if (cfg->mode == SA_TUNNEL)
		return NULL;
	struct sa_pair *pair = mem_zalloc(sizeof(*pair));
	pair->local = cfg->fixed_local;
	pair->remote = cfg->fixed_remote;
	pair->sum = bare_pair_sum(&pair->local, &pair->remote);
	return pair;
}

static int sa_check(const struct sa_config *cfg, enum crypt_direction direction, struct err *err)
{
	if (cfg->spi == 0)
		return err_set(err, "SPI 0 is reserved (RFC 4303 2.1): choose one from 256 up");
	if (cfg->mode != SA_TUNNEL &&
	    (cfg->fixed_local.family != cfg->fixed_remote.family || !cfg->fixed_local.family))
		return err_set(err,
			       "SPI 0x%08x: %s mode needs a fixed address of each side, both "
			       "of one family",
			       cfg->spi, sa_mode_text(cfg->mode));
	if (!cfg->esn || cfg->own_space)
		return 0;
	if (!cfg->peer)
		return err_set(err, "SPI 0x%08x: an SA with ESN needs a peer whose space it shares",
			       cfg->spi);
	if (direction == CRYPT_OPEN && !replay_made(&cfg->peer->space.window))
		return err_set(err, "SPI 0x%08x: the peer's space has no replay window", cfg->spi);
	return 0;
}

static void sa_init_own_space(struct sa *sa, const struct sa_config *cfg,
			      enum crypt_direction direction)
{
	atomic_store(&sa->own_space.next, 1);
	if (direction == CRYPT_OPEN)
		space_init(&sa->own_space, cfg->replay_packets);
	sa->space = &sa->own_space;
	if (cfg->esn)
		return;
	if (sa->hard_packets == 0 || sa->hard_packets > UINT32_MAX)
		sa->hard_packets = UINT32_MAX;
}

static size_t sa_len(bool shared_space)
{
	return shared_space ? offsetof(struct sa, own_space) : sizeof(struct sa);
}

static void inner_free(struct sa_inner *inner)
{
	if (!inner)
		return;
	crypt_free(inner->crypt);
	free(inner);
}

/* NULL with err. */
static struct sa_inner *inner_new(const struct sa_config *cfg, enum crypt_direction direction,
				  struct err *err)
{
	const struct alg *icv = cfg->integ ? cfg->integ : cfg->encr;
	struct crypt *crypt = crypt_new(cfg->encr, cfg->integ, cfg->key,
					crypt_key_len(cfg->encr, cfg->integ), direction, err);
	if (!crypt)
		return NULL;
	struct sa_inner *inner = mem_zalloc(sizeof(*inner));
	*inner = (struct sa_inner){.spi = cfg->esp_spi,
				   .iv_len = cfg->encr->iv_len,
				   .block_len = cfg->encr->block_len,
				   .icv_len = icv->icv_len,
				   .crypt = crypt};
	return inner;
}

static struct crypt *sa_crypt(const struct sa_config *cfg, enum crypt_direction direction,
			      struct err *err)
{
	size_t before = cfg->ah && cfg->esp_spi ? crypt_key_len(cfg->encr, cfg->integ) : 0;
	if (before > cfg->key_len) {
		err_set(err, "SPI 0x%08x: the key is too short for AH over ESP", cfg->spi);
		return NULL;
	}
	if (cfg->ah)
		return crypt_new_ah(cfg->integ, cfg->key + before, cfg->key_len - before, direction,
				    err);
	return crypt_new(cfg->encr, cfg->integ, cfg->key, cfg->key_len, direction, err);
}

struct sa *sa_new(const struct sa_config *cfg, enum crypt_direction direction, struct err *err)
{
	if (sa_check(cfg, direction, err) != 0)
		return NULL;
	struct crypt *crypt = sa_crypt(cfg, direction, err);
	if (!crypt)
		return NULL;
	struct sa_inner *inner = NULL;
	if (cfg->ah && cfg->esp_spi && !(inner = inner_new(cfg, direction, err))) {
		crypt_free(crypt);
		return NULL;
	}
	bool shared = cfg->esn && !cfg->own_space;
	struct sa *sa = lines_alloc(sa_len(shared));
	sa->spi = cfg->spi;
	sa->esn = cfg->esn;
	sa->configured_keys = cfg->configured_keys;
	atomic_store(&sa->udp, cfg->udp);
	const struct alg *encr = cfg->ah ? cfg->integ : cfg->encr;
	sa->ah = cfg->ah;
	sa->iv_len = encr->iv_len;
	sa->block_len = encr->block_len;
	sa->icv_len = cfg->integ ? cfg->integ->icv_len : encr->icv_len;
	sa->crypt = crypt;
	sa->crypt_long = crypt_is_long(crypt);
	sa->peer = cfg->peer;
	sa->soft_packets = cfg->soft_packets;
	sa->hard_packets = cfg->hard_packets;
	sa->soft_bytes = cfg->soft_bytes;
	sa->hard_bytes = cfg->hard_bytes;
	sa->inner = inner;
	sa->conn = cfg->conn;
	sa->mode = (uint8_t)cfg->mode & 3u;
	sa->pair = pair_new(cfg);
	if (shared)
		sa->space = &cfg->peer->space;
	else
		sa_init_own_space(sa, cfg, direction);
	return sa;
}

void sa_free(struct sa *sa)
{
	if (!sa)
		return;
	crypt_free(sa->crypt);
	inner_free(sa->inner);
	bool shared = sa->space != &sa->own_space;
	if (!shared)
		space_clear(&sa->own_space);
	if (!sa->path_lent)
		path_free(sa->path);
	free(sa->pair);
	lines_free(sa, sa_len(shared));
}

static void sa_free_rcu(struct rcu_head *head)
{
	sa_free(caa_container_of(head, struct sa, rcu));
}

void sa_free_later(struct sa *sa)
{
	if (sa)
		call_rcu(&sa->rcu, sa_free_rcu);
}

struct path *path_new(void)
{
	return lines_alloc(sizeof(struct path));
}

void path_free(struct path *path)
{
	lines_free(path, path && path->trial ? sizeof(struct trial) : sizeof(*path));
}

static void path_free_rcu(struct rcu_head *head)
{
	path_free(caa_container_of(head, struct path, rcu));
}

/* Whoever still looks at the old one does so until its read section ends. */
static void sa_exchange_path(struct sa *sa, struct path *path, bool lent)
{
	struct path *old = rcu_xchg_pointer(&sa->path, path);
	if (old && !sa->path_lent)
		call_rcu(&old->rcu, path_free_rcu);
	sa->path_lent = lent;
}

void sa_set_path(struct sa *sa, struct path *path)
{
	sa_exchange_path(sa, path, false);
}

void sa_set_pair_path(struct sa *out, struct sa *in, struct path *path)
{
	sa_exchange_path(in, path, true);
	sa_exchange_path(out, path, false);
}

struct path *sa_path_copy(const struct sa *sa)
{
	struct path *path = rcu_dereference(sa->path);
	if (!path)
		return NULL;
	if (path->trial)
		return trial_copy(path);
	struct path *copy = path_new();
	copy->local = path->local;
	copy->remote = path->remote;
	copy->sock = path->sock;
	copy->mtu = path->mtu;
	return copy;
}

const struct alg *sa_cipher(const struct sa *sa)
{
	if (!sa->ah)
		return crypt_encr(sa->crypt);
	return sa->inner ? crypt_encr(sa->inner->crypt) : NULL;
}

const struct alg *sa_integrity(const struct sa *sa)
{
	const struct alg *integ = crypt_integ(sa->crypt);
	return sa->ah && !integ ? crypt_encr(sa->crypt) : integ; /* AES-GMAC */
}

const char *sa_protocol_text(const struct sa *sa)
{
	if (!sa->ah)
		return "esp";
	return sa->inner ? "ah+esp" : "ah";
}

/* Of an ESP packet for what is inside. */
static uint32_t esp_room(uint32_t room, uint32_t block_len, uint32_t iv_len, uint32_t icv_len)
{
	uint32_t block = block_len < 4 ? 4 : block_len;
	uint32_t around = ESP_HEADER_LEN + iv_len + icv_len;
	if (room < around)
		return 0;
	uint32_t text_len = (room - around) / block * block;
	if (text_len <= ESP_TRAILER_LEN)
		return 0;
	return text_len - ESP_TRAILER_LEN;
}

size_t sa_ah_len(const struct sa *sa, uint8_t family)
{
	return ah_len((size_t)sa->iv_len + sa->icv_len, family);
}

uint32_t sa_inner_mtu(const struct sa *sa, uint32_t room)
{
	if (sa->ah) {
		const struct path *path = rcu_dereference(sa->path);
		uint32_t head = (uint32_t)sa_ah_len(sa, path ? path->remote.addr.family : 6);
		room = room > head ? room - head : 0;
		const struct sa_inner *inner = sa->inner;
		return inner ? esp_room(room, inner->block_len, inner->iv_len, inner->icv_len)
			     : room;
	}
	uint32_t inside = esp_room(room, sa->block_len, sa->iv_len, sa->icv_len);
	if (inside == 0 || sa->mode == SA_TUNNEL)
		return inside;
	return inside + (sa->pair->local.family == 4 ? IP4_HEADER_LEN : IP6_HEADER_LEN);
}
