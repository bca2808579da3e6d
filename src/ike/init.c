/* SPDX-License-Identifier: MIT */
/*
 * IKE_SA_INIT (RFC 7296 1.2, 2.6, 2.7, 2.23), both roles.
 *
 * Responder.  A stranger's packet costs the cheapest check first:
 *
 *   payloads read -> the same request again? -> cookie, when there are many -> bounds ->
 *   proposal, group -> key exchange -> an IKE SA, half open
 *
 * Everything before the key exchange is answered without keeping a state.  Half-open IKE SAs are
 * bounded: of one address (more are not answered), and in all (the oldest goes).  From
 * half_open_cookie on, or half of one address's share, a cookie proves that the address is the
 * sender's, so that forged sources cannot take the room of true ones.
 *
 * The cookie is version | HMAC(secret of that version, SPIi | address | port | Ni).  Two secrets
 * are alive, and a new one is made once a minute when cookies are wanted.
 *
 * Initiator.  Nobody vouches for a response of IKE_SA_INIT.  An error is only noted, and a better
 * answer waited for; a cookie or another group is followed a few times; what was chosen must be
 * something that we offered.
 */
#include "base/mem.h"
#include "ike/half.h"

#define COOKIE_SECRET_US (60 * (usec_t)USEC_PER_SEC)
#define COOKIE_LEN	 33
#define NONCE_LEN	 32
#define ERROR_WAIT_US	 (2 * (usec_t)USEC_PER_SEC) /* for a better answer than an error */
#define ROUNDS_MAX	 5			    /* of cookies and other groups */
#define STRANGER_ERRORS	 100			    /* answered errors a second */
#define CERTREQ_X509	 4
#define AUTHORITIES_MAX	 1024
#define NATT_PORT	 4500

static const uint16_t hash_ids[] = {2, 3, 4, 5}; /* RFC 7427: SHA2-256, 384, 512, Identity */

/* --- what both sides say */

static void put_hashes(struct ike_builder *b)
{
	uint8_t ids[2 * ARRAY_LEN(hash_ids)];
	struct writer w = writer_of(ids, sizeof(ids));
	for (unsigned i = 0; i < ARRAY_LEN(hash_ids); i++)
		writer_u16(&w, hash_ids[i]);
	ike_put_notify(b, IKE_N_SIGNATURE_HASH_ALGORITHMS, ids, sizeof(ids));
}

static uint32_t take_hashes(const struct ike_payloads *p)
{
	struct ike_notify n;
	uint32_t bits = 0;
	if (!ike_find_notify(p, IKE_N_SIGNATURE_HASH_ALGORITHMS, &n))
		return 0;
	struct reader r = reader_of(n.data, n.len);
	while (reader_left(&r) >= 2) {
		uint16_t id = reader_u16(&r);
		if (id < 32)
			bits |= 1u << id;
	}
	return bits & CERT_HASHES_ALL;
}

/* What a request and a response have in common. */
struct offer {
	struct ike_proposals proposals;
	struct ike_ke ke;
	const uint8_t *nonce;
	size_t nonce_len;
};

static bool take_offer(const struct ike_payloads *p, struct offer *o)
{
	const struct ike_payload *sa = ike_find_payload(p, IKE_PAYLOAD_SA);
	const struct ike_payload *ke = ike_find_payload(p, IKE_PAYLOAD_KE);
	const struct ike_payload *nonce = ike_find_payload(p, IKE_PAYLOAD_NONCE);
	if (!sa || !ke || !nonce || !ike_read_sa(sa, &o->proposals) || !ike_read_ke(ke, &o->ke) ||
	    nonce->len < IKE_NONCE_MIN || nonce->len > IKE_NONCE_MAX)
		return false;
	o->nonce = nonce->body;
	o->nonce_len = nonce->len;
	return true;
}

static uint8_t *copy_of(const uint8_t *data, size_t len)
{
	uint8_t *c = mem_zalloc(len);
	memcpy(c, data, len);
	return c;
}

/* What the peer said of itself besides the offer. */
static void take_abilities(struct ike_sa *sa, const struct ike_payloads *p)
{
	struct ike_notify n;
	sa->fragmentation = ike_find_notify(p, IKE_N_FRAGMENTATION_SUPPORTED, &n);
	sa->childless = ike_find_notify(p, IKE_N_CHILDLESS_IKEV2_SUPPORTED, &n);
	sa->hash_algorithms = take_hashes(p);
	sa->half->asked_cert = ike_find_payload(p, IKE_PAYLOAD_CERTREQ);
	sa->half->use_ppk = ike_find_notify(p, IKE_N_USE_PPK, &n);
}

static int derive(struct ike_sa *sa, const struct kex *kex, const struct ike_ke *ke)
{
	struct half *h = sa->half;
	uint8_t shared[KEX_SECRET_MAX];
	int rc = kex_shared(kex, ke->data, ke->len, shared);
	if (!rc)
		rc = keys_derive(sa, NULL, shared, kex_group_of(kex)->secret_len, h->nonce_i,
				 h->nonce_i_len, h->nonce_r, h->nonce_r_len, &h->sk);
	mem_wipe(shared, sizeof(shared));
	return rc;
}

/* --- half-open IKE SAs */

static uint64_t addr_key(const struct ike *e, const struct addr *a)
{
	return hash_bytes(e->seed, a, sizeof(*a));
}

void init_half_add(struct ike_sa *sa)
{
	struct ike *e = sa->engine;
	struct half *h = sa->half;
	h->sa = sa;
	h->remote = sa->path.remote.addr;
	h->older = e->half_last;
	h->newer = NULL;
	if (e->half_last)
		e->half_last->newer = h;
	else
		e->half_first = h;
	e->half_last = h;
	e->half_open++;
	hash_add(&e->half_by_addr, &h->by_addr, addr_key(e, &h->remote));
}

void init_half_remove(struct ike_sa *sa)
{
	struct ike *e = sa->engine;
	struct half *h = sa->half;
	if (!h || !h->by_addr.at)
		return;
	hash_remove(&e->half_by_addr, &h->by_addr);
	if (h->older)
		h->older->newer = h->newer;
	else
		e->half_first = h->newer;
	if (h->newer)
		h->newer->older = h->older;
	else
		e->half_last = h->older;
	h->older = h->newer = NULL;
	e->half_open--;
}

/* How many there are of this address; *same: the one that this very request made. */
static size_t half_count(const struct ike *e, const struct ike_path *path, const uint8_t *msg,
			 size_t len, struct half **same)
{
	size_t n = 0;
	struct hash_link *l = hash_find(&e->half_by_addr, addr_key(e, &path->remote.addr));
	*same = NULL;
	for (; l; l = hash_next(l)) {
		struct half *h = hash_owner(l, struct half, by_addr);
		if (!addr_equal(&h->remote, &path->remote.addr))
			continue;
		n++;
		if (h->msg_i_len == len && memcmp(h->msg_i, msg, len) == 0)
			*same = h;
	}
	return n;
}

/* --- answers that keep no state */

static void send_answer(struct ike *e, const struct ike_path *path, struct ike_builder *b)
{
	size_t len = ike_builder_finish(b);
	if (len)
		message_emit(e, path, e->out, len);
}

static struct ike_builder answer_to(struct ike *e, const struct ike_header *h, const uint8_t *spi_r)
{
	struct ike_header r = {.version = IKE_VERSION,
			       .exchange = h->exchange,
			       .flags = IKE_FLAG_RESPONSE,
			       .message_id = h->message_id};
	memcpy(r.spi_i, h->spi_i, IKE_SPI_LEN);
	if (spi_r)
		memcpy(r.spi_r, spi_r, IKE_SPI_LEN);
	return ike_builder_of(e->out, sizeof(e->out), &r);
}

static void refuse(struct ike *e, const struct ike_path *path, const struct ike_header *h,
		   uint16_t notify, const void *data, size_t len)
{
	if (!log_limit_ok(&e->error_limit, e->now_us, STRANGER_ERRORS))
		return;
	struct ike_builder b = answer_to(e, h, NULL);
	ike_put_notify(&b, notify, data, len);
	send_answer(e, path, &b);
}

/* --- cookies */

static bool cookie_of(const struct ike *e, uint8_t version, const struct ike_path *path,
		      const struct ike_header *h, const struct offer *o, uint8_t out[COOKIE_LEN])
{
	uint8_t mac[PRF_LEN_MAX];
	uint8_t port[2] = {(uint8_t)(path->remote.port >> 8), (uint8_t)path->remote.port};
	struct chunk parts[] = {{h->spi_i, IKE_SPI_LEN},
				{&path->remote.addr, sizeof(path->remote.addr)},
				{port, sizeof(port)},
				{o->nonce, o->nonce_len}};
	if (prf_compute(prf_by_id(5), e->cookie_secret[version & 1], sizeof(e->cookie_secret[0]),
			parts, ARRAY_LEN(parts), mac))
		return false;
	out[0] = version;
	memcpy(out + 1, mac, COOKIE_LEN - 1);
	return true;
}

static void cookie_renew(struct ike *e)
{
	bool first = !e->cookie_version;
	if (!first && e->now_us - e->cookie_since_us < COOKIE_SECRET_US)
		return;
	e->cookie_version = e->cookie_version == UINT8_MAX ? 2 : (uint8_t)(e->cookie_version + 1);
	e->ops.random(e->ops.ctx, e->cookie_secret[e->cookie_version & 1],
		      sizeof(e->cookie_secret[0]));
	if (first)
		e->ops.random(e->ops.ctx, e->cookie_secret[!(e->cookie_version & 1)],
			      sizeof(e->cookie_secret[0]));
	e->cookie_since_us = e->now_us;
}

/* True: the request brought one of ours.  Else one was asked for. */
static bool cookie_passed(struct ike *e, const struct ike_path *path, const struct ike_header *h,
			  const struct ike_payloads *p, const struct offer *o)
{
	uint8_t want[COOKIE_LEN];
	struct ike_notify n;
	cookie_renew(e);
	if (ike_find_notify(p, IKE_N_COOKIE, &n) && n.len == sizeof(want) &&
	    cookie_of(e, n.data[0], path, h, o, want) && mem_equal(want, n.data, sizeof(want))) {
		e->counters.cookies_good++;
		return true;
	}
	if (!cookie_of(e, e->cookie_version, path, h, o, want))
		return false;
	e->counters.cookies_asked++;
	struct ike_builder b = answer_to(e, h, NULL);
	ike_put_notify(&b, IKE_N_COOKIE, want, sizeof(want));
	send_answer(e, path, &b);
	return false;
}

/* --- responder */

/* Before the IKE SA: may this stranger have one?  It was answered if there is an answer. */
static bool admit(struct ike *e, const struct ike_path *path, const uint8_t *msg, size_t len,
		  const struct ike_header *h, const struct ike_payloads *p, const struct offer *o)
{
	struct half *same;
	size_t of_addr = half_count(e, path, msg, len, &same);
	if (same) {
		e->counters.answered_again++;
		message_emit(e, path, same->msg_r, same->msg_r_len);
		return false;
	}
	if ((e->half_open >= e->cfg.half_open_cookie || of_addr >= e->cfg.half_open_per_addr / 2) &&
	    !cookie_passed(e, path, h, p, o))
		return false;
	if (of_addr >= e->cfg.half_open_per_addr) {
		e->counters.half_open_dropped++;
		return false;
	}
	if (e->half_first && e->half_open >= e->cfg.half_open_max) {
		e->counters.half_open_dropped++;
		sa_end(e->half_first->sa, 0, "too many half open", true);
	}
	return true;
}

static bool choose(struct ike *e, const struct ike_path *path, const struct ike_header *h,
		   const struct offer *o, struct proposal_choice *c)
{
	const struct suite_list *ours =
	    e->ops.proposals ? e->ops.proposals(e->ops.ctx, path) : NULL;
	const struct kex_group *group = kex_by_id(o->ke.group);
	if (!ours || !proposal_choose(SUITE_IKE, ours, &o->proposals, true, group, 0, c) ||
	    !c->suite.group) {
		char remote[ENDPOINT_TEXT_MAX];
		if (e->log && log_limit_ok(&e->log_limit, e->now_us, STRANGER_LINES))
			log_warn(e->log,
				 "ike: refused why=\"no proposal of its is ours\" remote=%s",
				 endpoint_format(&path->remote, remote));
		refuse(e, path, h, IKE_N_NO_PROPOSAL_CHOSEN, NULL, 0);
		return false;
	}
	if (c->suite.group != group) {
		uint8_t id[2] = {(uint8_t)(c->suite.group->ike_id >> 8),
				 (uint8_t)c->suite.group->ike_id};
		refuse(e, path, h, IKE_N_INVALID_KE_PAYLOAD, id, sizeof(id));
		return false;
	}
	return true;
}

static bool answer_write(struct ike_sa *sa, const struct ike_header *h,
			 const struct proposal_choice *c, const struct kex *kex,
			 const struct ike_path *path, bool natt)
{
	struct ike *e = sa->engine;
	struct half *half = sa->half;
	uint8_t public[KEX_PUBLIC_MAX], authorities[AUTHORITIES_MAX];
	if (kex_public(kex, public))
		return false;
	struct ike_builder b = answer_to(e, h, sa->spi_r);
	proposal_put_choice(&b, SUITE_IKE, c, true, NULL, 0);
	ike_put_ke(&b, c->suite.group->ike_id, public, c->suite.group->public_len);
	ike_put_bytes(&b, IKE_PAYLOAD_NONCE, half->nonce_r, half->nonce_r_len);
	if (natt)
		nat_put(sa, path, &b);
	size_t n = 0;
	if (e->ops.authorities)
		n = e->ops.authorities(e->ops.ctx, path, authorities, sizeof(authorities));
	if (n)
		ike_put_typed(&b, IKE_PAYLOAD_CERTREQ, CERTREQ_X509, authorities, n);
	if (sa->fragmentation)
		ike_put_notify(&b, IKE_N_FRAGMENTATION_SUPPORTED, NULL, 0);
	put_hashes(&b);
	ike_put_notify(&b, IKE_N_CHILDLESS_IKEV2_SUPPORTED, NULL, 0);
	if (half->use_ppk)
		ike_put_notify(&b, IKE_N_USE_PPK, NULL, 0);
	half->msg_r_len = ike_builder_finish(&b);
	if (!half->msg_r_len)
		return false;
	half->msg_r = copy_of(e->out, half->msg_r_len);
	return true;
}

static bool respond(struct ike_sa *sa, const struct ike_path *path, const uint8_t *msg, size_t len,
		    const struct ike_header *h, const struct ike_payloads *p, const struct offer *o,
		    const struct proposal_choice *c)
{
	struct ike *e = sa->engine;
	static const uint8_t none[IKE_SPI_LEN];
	struct half *half = sa->half = half_new();
	half->sa = sa;
	half->msg_i = copy_of(msg, len);
	half->msg_i_len = len;
	half->group = c->suite.group;
	memcpy(half->nonce_i, o->nonce, o->nonce_len);
	half->nonce_i_len = (uint16_t)o->nonce_len;
	e->ops.random(e->ops.ctx, half->nonce_r, NONCE_LEN);
	half->nonce_r_len = NONCE_LEN;
	sa->path = *path;
	sa->suite = c->suite;
	memcpy(sa->spi_i, h->spi_i, IKE_SPI_LEN);
	take_abilities(sa, p);

	/* The request's hashes are over an SPIr of zeros. */
	uint8_t spi_r[IKE_SPI_LEN];
	memcpy(spi_r, sa->spi_r, IKE_SPI_LEN);
	memcpy(sa->spi_r, none, IKE_SPI_LEN);
	bool natt = nat_detect(sa, p, path, &sa->nat_here, &sa->nat_there);
	memcpy(sa->spi_r, spi_r, IKE_SPI_LEN);
	sa->udp = sa->nat_here || sa->nat_there;

	struct kex *kex = kex_new(half->group);
	bool good = kex && !derive(sa, kex, &o->ke) && answer_write(sa, h, c, kex, path, natt);
	kex_free(kex);
	return good;
}

void init_request(struct ike *e, const struct ike_path *path, const uint8_t *msg, size_t len,
		  const struct ike_header *h)
{
	static const uint8_t none[IKE_SPI_LEN];
	struct ike_payloads p;
	struct offer o;
	struct proposal_choice c;

	if ((h->flags & IKE_FLAG_RESPONSE) || !(h->flags & IKE_FLAG_INITIATOR) ||
	    memcmp(h->spi_i, none, sizeof(none)) == 0 ||
	    memcmp(h->spi_r, none, sizeof(none)) != 0) {
		e->counters.malformed++;
		return;
	}
	if (h->version >> 4 != IKE_VERSION >> 4) {
		e->counters.malformed++;
		if (h->version >> 4 > IKE_VERSION >> 4)
			refuse(e, path, h, IKE_N_INVALID_MAJOR_VERSION, NULL, 0);
		return;
	}
	enum ike_verdict v =
	    ike_read_payloads(h->next, msg + IKE_HEADER_LEN, len - IKE_HEADER_LEN, &p);
	if (v == IKE_CRITICAL && !h->message_id)
		refuse(e, path, h, IKE_N_UNSUPPORTED_CRITICAL_PAYLOAD, &p.critical, 1);
	if (v != IKE_OK || h->message_id || !take_offer(&p, &o)) {
		e->counters.malformed++;
		return;
	}
	if (!admit(e, path, msg, len, h, &p, &o) || !choose(e, path, h, &o, &c))
		return;
	struct ike_sa *sa = sa_create(e, false);
	if (!sa) {
		e->counters.half_open_dropped++;
		return;
	}
	if (!respond(sa, path, msg, len, h, &p, &o, &c)) {
		e->counters.malformed++;
		sa_end(sa, 0, "no keys", false);
		return;
	}
	sa->expected_id = 1;
	sa->end_at_us = e->now_us + e->cfg.half_open_us;
	sa_index(sa);
	init_half_add(sa);
	keys_tell(sa);
	message_emit(e, path, sa->half->msg_r, sa->half->msg_r_len);
	sa_schedule(sa);
}

/* --- initiator */

static bool group_is_ours(const struct ike_peer *peer, const struct kex_group *g)
{
	for (unsigned i = 0; i < peer->ike.count; i++)
		for (unsigned k = 0; k < peer->ike.at[i].group_count; k++)
			if (peer->ike.at[i].group[k] == g)
				return true;
	return false;
}

static bool init_build(struct ike_sa *sa, struct task *t, struct ike_builder *b)
{
	(void)t;
	struct ike *e = sa->engine;
	struct half *h = sa->half;
	const struct ike_peer *peer = sa->peer;
	uint8_t public[KEX_PUBLIC_MAX];

	if (!h->group && peer->ike.count && peer->ike.at[0].group_count)
		h->group = peer->ike.at[0].group[0];
	if (!h->group)
		return false;
	if (!h->kex)
		h->kex = kex_new(h->group);
	if (!h->kex || kex_public(h->kex, public))
		return false;
	if (!h->nonce_i_len) {
		h->nonce_i_len = NONCE_LEN;
		e->ops.random(e->ops.ctx, h->nonce_i, NONCE_LEN);
	}
	if (h->cookie_len)
		ike_put_notify(b, IKE_N_COOKIE, h->cookie, h->cookie_len);
	proposal_put(b, SUITE_IKE, &peer->ike, true, NULL, 0);
	ike_put_ke(b, h->group->ike_id, public, h->group->public_len);
	ike_put_bytes(b, IKE_PAYLOAD_NONCE, h->nonce_i, h->nonce_i_len);
	nat_put(sa, &sa->path, b);
	if (peer->fragmentation)
		ike_put_notify(b, IKE_N_FRAGMENTATION_SUPPORTED, NULL, 0);
	put_hashes(b);
	if (peer->ppk_id)
		ike_put_notify(b, IKE_N_USE_PPK, NULL, 0);
	return true;
}

/* A cookie, or another group: begin again with it.  IGNORED: it asks for what we will not do. */
static enum outcome begin_again(struct ike_sa *sa, const struct ike_notify *n)
{
	struct half *h = sa->half;
	if (h->tries >= ROUNDS_MAX)
		return IGNORED;
	if (n->type == IKE_N_COOKIE) {
		if (!n->len || n->len > sizeof(h->cookie))
			return IGNORED;
		memcpy(h->cookie, n->data, n->len);
		h->cookie_len = (uint8_t)n->len;
	} else {
		struct reader r = reader_of(n->data, n->len);
		const struct kex_group *g = kex_by_id(reader_u16(&r));
		if (!reader_done(&r) || !g || g == h->group || !group_is_ours(sa->peer, g))
			return IGNORED;
		h->group = g;
		kex_free(h->kex);
		h->kex = NULL;
	}
	h->tries++;
	return AGAIN;
}

/* Nobody vouches for an error in the clear: the right answer may still come (RFC 7296 2.21.1). */
static enum outcome note_error(struct ike_sa *sa, uint16_t notify)
{
	struct ike *e = sa->engine;
	if (sa->half->error != notify)
		sa_log(sa, LOG_LEVEL_WARN, "refused notify=%s", ike_notify_text(notify));
	sa->half->error = notify;
	if (sa->end_at_us > e->now_us + ERROR_WAIT_US)
		sa->end_at_us = e->now_us + ERROR_WAIT_US;
	return IGNORED;
}

static const struct ike_payload *first_error(const struct ike_payloads *p, struct ike_notify *n)
{
	for (unsigned i = 0; i < p->count; i++)
		if (p->at[i].type == IKE_PAYLOAD_NOTIFY && ike_read_notify(&p->at[i], n) &&
		    n->type <= IKE_N_ERROR_LAST)
			return &p->at[i];
	return NULL;
}

/* To port 4500 when there is a NAT, may be one later (MOBIKE), or UDP is wanted anyhow.  Who we
 * are is said in IKE_AUTH only, so it is too early to know a Sojourn. */
static void float_path(struct ike_sa *sa)
{
	const struct ike *e = sa->engine;
	if (sa->path.natt || !(sa->udp || sa->peer->mobike || sa->peer->sojourn))
		return;
	sa->path.natt = true;
	sa->path.local.port = sa->path.remote.port = NATT_PORT;
	if (e->ops.float_path)
		e->ops.float_path(e->ops.ctx, &sa->path);
}

static void answered(struct ike_sa *sa, const struct inbound *in)
{
	struct half *h = sa->half;
	free(h->msg_r);
	h->msg_r = copy_of(in->msg, in->msg_len);
	h->msg_r_len = in->msg_len;
	kex_free(h->kex);
	h->kex = NULL;
	h->error = 0;
	sa->end_at_us = USEC_NEVER;
	take_abilities(sa, in->p);
	sa->fragmentation &= sa->peer->fragmentation;
	h->use_ppk &= sa->peer->ppk_id != NULL;
	if (nat_detect(sa, in->p, &sa->path, &sa->nat_here, &sa->nat_there)) {
		mobike_take_init(sa, in->p);
		sa->udp = sa->nat_here || sa->nat_there || nat_is_forced(sa);
		float_path(sa);
	}
	sa->next_id = 1;
	keys_tell(sa);
}

static enum outcome init_response(struct ike_sa *sa, struct task *t, const struct inbound *in)
{
	static const uint8_t none[IKE_SPI_LEN];
	struct ike *e = sa->engine;
	struct half *h = sa->half;
	struct ike_notify n;
	struct offer o;
	struct proposal_choice c;
	(void)t;

	if (!ike_find_payload(in->p, IKE_PAYLOAD_SA)) {
		if (ike_find_notify(in->p, IKE_N_COOKIE, &n) ||
		    ike_find_notify(in->p, IKE_N_INVALID_KE_PAYLOAD, &n))
			return begin_again(sa, &n);
		return first_error(in->p, &n) ? note_error(sa, n.type) : IGNORED;
	}
	if (!take_offer(in->p, &o) || memcmp(in->h.spi_r, none, sizeof(none)) == 0)
		return IGNORED;
	if (!proposal_accept(SUITE_IKE, &sa->peer->ike, &o.proposals, true, 0, &c) ||
	    c.suite.group != h->group || o.ke.group != h->group->ike_id)
		return note_error(sa, IKE_N_NO_PROPOSAL_CHOSEN);

	memcpy(h->nonce_r, o.nonce, o.nonce_len);
	h->nonce_r_len = (uint16_t)o.nonce_len;
	memcpy(sa->spi_r, in->h.spi_r, IKE_SPI_LEN);
	sa->suite = c.suite;
	if (derive(sa, h->kex, &o.ke)) {
		memset(sa->spi_r, 0, IKE_SPI_LEN);
		mem_wipe(&sa->seal_in, sizeof(sa->seal_in));
		mem_wipe(&sa->seal_out, sizeof(sa->seal_out));
		return IGNORED;
	}
	answered(sa, in);
	if (e->ops.proceed && !e->ops.proceed(e->ops.ctx, sa))
		return sa_fail(sa, 0, "another way was answered first");
	task_queue(sa, task_new(TASK_AUTH), true);
	return DONE;
}

const struct row init_row = {
    .story = "keys agreed with a stranger",
    .exchange = IKE_SA_INIT,
    .task = TASK_INIT,
    .build = init_build,
    .response = init_response,
};
