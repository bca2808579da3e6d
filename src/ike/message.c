/* SPDX-License-Identifier: MIT */
/*
 * Messages of an IKE SA: protection, the window, kept copies, dispatch.
 *
 *   out   payloads -> (fragments) -> sealed -> kept -> sent
 *   in    window -> opened -> (put together) -> payload chain -> row of the table -> answer
 *
 * The window is one request each way (RFC 7296 2.3): of the peer's requests the next one is taken
 * and the one before is answered again from the kept copy; of responses only the one to our request
 * that is out is taken.  All that is decided by number before anything is opened, and nothing
 * changes before it was opened.
 */
#include <stdio.h>
#include "base/mem.h"
#include "ike/auth.h"

#define RETRANSMIT_MAX_US (8 * (usec_t)USEC_PER_SEC)
#define SK_HEADERS	  (IKE_HEADER_LEN + IKE_PAYLOAD_LEN)
#define SKF_HEADERS	  (SK_HEADERS + 4)

/* --- out */

void message_emit(struct ike *e, const struct ike_path *path, const uint8_t *msg, size_t len)
{
	e->counters.sent++;
	e->ops.send(e->ops.ctx, path, msg, len);
}

void sent_clear(struct sent_message *m)
{
	free(m->bytes);
	free(m->lens);
	*m = (struct sent_message){0};
}

static void sent_emit(struct ike_sa *sa, const struct ike_path *path, const struct sent_message *m)
{
	const uint8_t *p = m->bytes;
	for (unsigned i = 0; i < m->count; i++) {
		size_t len = m->lens ? m->lens[i] : m->len;
		message_emit(sa->engine, path, p, len);
		p += len;
	}
	sa->sent_us = sa->engine->now_us;
}

static void request_is_out(struct ike_sa *sa)
{
	sa->request_tries = 0;
	sa->request_at_us = sa->engine->now_us + sa->engine->cfg.retransmit_us;
}

void message_forget_request(struct ike_sa *sa)
{
	sent_clear(&sa->request);
	sa->request_at_us = USEC_NEVER;
	sa->request_tries = 0;
}

void message_send_plain(struct ike_sa *sa, const struct ike_path *path, const uint8_t *msg,
			size_t len, bool keep_as_request)
{
	struct sent_message *kept = keep_as_request ? &sa->request : &sa->answer;
	sent_clear(kept);
	kept->bytes = mem_zalloc(len);
	memcpy(kept->bytes, msg, len);
	kept->len = (uint32_t)len;
	kept->count = 1;
	if (keep_as_request)
		request_is_out(sa);
	sent_emit(sa, path, kept);
}

struct cut { /* a part of the payloads; total 0: all of them, no fragment */
	uint16_t number, total;
	uint8_t first;
	const uint8_t *inner;
	size_t len;
};

static size_t cut_len(const struct ike_sa *sa, const struct cut *c)
{
	return (c->total ? SKF_HEADERS : SK_HEADERS) + c->len +
	       ike_seal_overhead(&sa->seal_out, c->len);
}

/* Writes one sealed message of cut_len octets. */
static bool cut_seal(struct ike_sa *sa, enum ike_exchange exchange, bool response, uint32_t id,
		     const struct cut *c, uint8_t *out)
{
	size_t len = cut_len(sa, c);
	struct writer w = writer_of(out, len);
	writer_bytes(&w, sa->spi_i, IKE_SPI_LEN);
	writer_bytes(&w, sa->spi_r, IKE_SPI_LEN);
	writer_u8(&w, c->total ? IKE_PAYLOAD_SKF : IKE_PAYLOAD_SK);
	writer_u8(&w, IKE_VERSION);
	writer_u8(&w, (uint8_t)exchange);
	writer_u8(&w, (uint8_t)((sa->initiator ? IKE_FLAG_INITIATOR : 0) |
				(response ? IKE_FLAG_RESPONSE : 0)));
	writer_u32(&w, id);
	writer_u32(&w, (uint32_t)len);
	writer_u8(&w, c->first);
	writer_u8(&w, 0);
	writer_u16(&w, (uint16_t)(len - IKE_HEADER_LEN));
	if (c->total) {
		writer_u16(&w, c->number);
		writer_u16(&w, c->total);
	}
	size_t header_len = writer_len(&w);
	writer_zero(&w, sa->seal_out.encr->iv_len);
	writer_bytes(&w, c->inner, c->len);
	return !w.failed &&
	       ike_seal(&sa->seal_out, out, len, header_len, c->len, sa->iv_out++) == len;
}

/* Octets of payloads that fit into one fragment. */
static size_t fragment_room(const struct ike_sa *sa, const struct ike_path *path)
{
	size_t most = sa->engine->cfg.fragment_len - (path->natt ? IKE_NON_ESP_LEN : 0u);
	struct cut c = {.total = 1, .len = most - SKF_HEADERS};
	while (c.len > 1 && cut_len(sa, &c) > most)
		c.len--;
	return c.len;
}

static bool sent_make(struct ike_sa *sa, const struct ike_path *path, enum ike_exchange exchange,
		      bool response, uint32_t id, const struct cut *whole, struct sent_message *m)
{
	size_t room = whole->len, count = 1;
	if (sa->fragmentation && cut_len(sa, whole) > sa->engine->cfg.fragment_len) {
		room = fragment_room(sa, path);
		count = (whole->len + room - 1) / room;
	}
	/* Two bounds that the builders' buffer implies. */
	if (cut_len(sa, whole) > UINT16_MAX || count > UINT16_MAX)
		return false;
	m->count = (uint16_t)count;
	m->lens = count > 1 ? mem_zalloc(count * sizeof(*m->lens)) : NULL;
	struct cut c = {
	    .number = 1, .total = count > 1 ? (uint16_t)count : 0, .first = whole->first};
	c.len = room;
	m->bytes = mem_zalloc(cut_len(sa, &c) * count);
	for (size_t done = 0, i = 0; i < count; i++, c.number++, c.first = 0) {
		c.inner = whole->inner + done;
		c.len = room < whole->len - done ? room : whole->len - done;
		if (!cut_seal(sa, exchange, response, id, &c, m->bytes + m->len))
			return false;
		size_t len = cut_len(sa, &c);
		if (m->lens)
			m->lens[i] = (uint16_t)len;
		m->len += (uint32_t)len;
		done += c.len;
	}
	return true;
}

bool message_send(struct ike_sa *sa, const struct ike_path *path, enum ike_exchange exchange,
		  bool response, uint32_t id, uint8_t first, const uint8_t *inner, size_t len)
{
	struct sent_message m = {0};
	struct cut whole = {.first = first, .inner = inner, .len = len};
	if (!sent_make(sa, path, exchange, response, id, &whole, &m)) {
		sa_log(sa, LOG_LEVEL_ERROR, "message not sealed exchange=%s octets=%zu",
		       ike_exchange_text(exchange), len);
		sent_clear(&m);
		return false;
	}
	struct sent_message *kept = response ? &sa->answer : &sa->request;
	sent_clear(kept);
	*kept = m;
	if (response)
		sa->answer_until_us = sa->engine->now_us + sa->engine->cfg.answer_kept_us;
	else
		request_is_out(sa);
	sent_emit(sa, path, kept);
	return true;
}

bool message_retransmit(struct ike_sa *sa)
{
	struct ike *e = sa->engine;
	if (sa->held) {
		sa->request_tries = 0;
		sa->request_at_us = e->now_us + RETRANSMIT_MAX_US;
		return true;
	}
	if (sa->request_tries >= e->cfg.retransmits) {
		uint16_t error = sa->half ? sa->half->error : 0;
		e->counters.dead_peers++;
		sa_end(sa, error, error ? "refused" : "no answer", true);
		return false;
	}
	sa->request_tries++;
	e->counters.retransmitted++;
	usec_t wait = e->cfg.retransmit_us << sa->request_tries;
	if (wait > RETRANSMIT_MAX_US)
		wait = RETRANSMIT_MAX_US;
	sa->request_at_us = e->now_us + sa_jitter(e, wait);
	sent_emit(sa, task_path(sa, sa->tasks), &sa->request);
	return true;
}

/* --- in: requests */

static bool has_required(const struct row *row, const struct ike_payloads *p)
{
	uint64_t have = 0;
	for (unsigned i = 0; i < p->count; i++)
		if (p->at[i].type >= 32 && p->at[i].type < 96)
			have |= 1ull << (p->at[i].type - 32);
	return (have & row->required) == row->required;
}

static const struct row *request_row(const struct ike_sa *sa, const struct inbound *in)
{
	for (size_t i = 0; i < table_requests_count; i++) {
		const struct row *row = table_requests[i];
		if (row->exchange == in->h.exchange && (!row->fits || row->fits(sa, in)))
			return row;
	}
	return NULL;
}

static enum outcome request_malformed(struct ike_sa *sa, struct ike_builder *b, const char *what)
{
	sa->engine->counters.malformed++;
	ike_put_notify(b, IKE_N_INVALID_SYNTAX, NULL, 0);
	return sa_fail(sa, IKE_N_INVALID_SYNTAX, "%s", what);
}

/* The answer to an authentic request; RFC 7296 2.21.3 says which errors are the end. */
static enum outcome request_handle(struct ike_sa *sa, const struct inbound *in,
				   enum ike_verdict verdict, struct ike_builder *b)
{
	bool auth = in->h.exchange == IKE_AUTH;
	switch (verdict) {
	case IKE_OK:
		break;
	case IKE_MALFORMED:
	case IKE_TOO_MANY:
		return request_malformed(sa, b, "malformed request");
	case IKE_CRITICAL:
		ike_put_notify(b, IKE_N_UNSUPPORTED_CRITICAL_PAYLOAD, &in->p->critical, 1);
		if (!auth)
			return DONE;
		return sa_fail(sa, IKE_N_UNSUPPORTED_CRITICAL_PAYLOAD,
			       "a critical payload of type %u", in->p->critical);
	}
	if (in->h.exchange == IKE_CREATE_CHILD_SA && sa->state != IKE_SA_ESTABLISHED) {
		ike_put_notify(b, IKE_N_TEMPORARY_FAILURE, NULL, 0);
		return DONE;
	}
	const struct row *row = request_row(sa, in);
	if (!row)
		return request_malformed(sa, b, "a request that is out of place");
	if (!has_required(row, in->p))
		return request_malformed(sa, b, "a request without a payload it needs");
	return row->request(sa, in, b);
}

static void message_request(struct ike_sa *sa, const struct inbound *in, enum ike_verdict verdict)
{
	struct ike *e = sa->engine;
	struct ike_builder b = ike_builder_of(e->out, sizeof(e->out), NULL);
	e->fail_notify = 0;
	snprintf(e->fail_why, sizeof(e->fail_why), "refused");

	sent_clear(&sa->answer);
	enum outcome o = request_handle(sa, in, verdict, &b);
	if (o == GONE)
		return;
	size_t len = ike_builder_finish(&b);
	if (b.w.failed) {
		sa_end(sa, 0, "an answer too long", true);
		return;
	}
	if (!message_send(sa, &in->path, in->h.exchange, true, sa->expected_id, b.first, e->out,
			  len)) {
		sa_end(sa, 0, "an answer that could not be sealed", true);
		return;
	}
	sa->expected_id++;
	mem_wipe(e->out, len);
	if (o == SA_FAILED) {
		sa_end_answered(sa, e->fail_notify, e->fail_why);
		return;
	}
	if (sa->tasks)
		sa_run_later(sa);
	sa_schedule(sa);
}

/* --- in: responses */

static enum outcome response_handle(struct ike_sa *sa, struct task *t, const struct inbound *in,
				    enum ike_verdict verdict)
{
	struct ike_notify n;
	const struct row *row = table_tasks[t->kind];

	if (in->h.exchange == IKE_SA_INIT && verdict != IKE_OK)
		return IGNORED;
	if (verdict == IKE_MALFORMED || verdict == IKE_TOO_MANY)
		return sa_fail(sa, IKE_N_INVALID_SYNTAX, "malformed response");
	if (verdict == IKE_CRITICAL)
		return sa_fail(sa, IKE_N_UNSUPPORTED_CRITICAL_PAYLOAD,
			       "a critical payload of type %u", in->p->critical);
	if (in->h.exchange != IKE_SA_INIT && ike_find_notify(in->p, IKE_N_INVALID_SYNTAX, &n))
		return sa_fail(sa, IKE_N_INVALID_SYNTAX, "the peer calls our request malformed");
	return row->response(sa, t, in);
}

static void message_response(struct ike_sa *sa, const struct inbound *in, enum ike_verdict verdict)
{
	struct ike *e = sa->engine;
	struct task *t = sa->tasks;
	e->fail_notify = 0;
	snprintf(e->fail_why, sizeof(e->fail_why), "refused");

	switch (response_handle(sa, t, in, verdict)) {
	case DONE:
		message_forget_request(sa);
		sa->tasks = t->next;
		task_free(t);
		break;
	case AGAIN:
		message_forget_request(sa);
		break;
	case RETRY:
		message_forget_request(sa);
		t->tries++;
		break;
	case IGNORED:
		e->counters.malformed++;
		sa_schedule(sa);
		return;
	case GONE:
		return;
	case SA_FAILED:
		sa_end(sa, e->fail_notify, e->fail_why, true);
		return;
	}
	sa_run_later(sa);
	sa_schedule(sa);
}

/* --- in */

/* The peer has not heard our last answer: what waits for its next request waits longer. */
static void answer_again(struct ike_sa *sa, const struct ike_path *path)
{
	struct ike *e = sa->engine;
	e->counters.answered_again++;
	sent_emit(sa, path, &sa->answer);
	if (sa->silent || sa->half)
		return;
	sa->answer_until_us = e->now_us + e->cfg.answer_kept_us;
	if (sa->state == IKE_SA_REKEYED && sa->end_at_us < sa->answer_until_us &&
	    sa->answer_until_us <= sa->end_latest_us)
		sa->end_at_us = sa->answer_until_us;
	sa_schedule(sa);
}

static bool header_fits(const struct ike_sa *sa, const struct ike_header *h)
{
	static const uint8_t none[IKE_SPI_LEN];
	/* The flag says who began the IKE SA, not who asks now. */
	if (!(h->flags & IKE_FLAG_INITIATOR) != sa->initiator)
		return false;
	if (memcmp(h->spi_i, sa->spi_i, IKE_SPI_LEN) != 0)
		return false;
	/* Before the response of IKE_SA_INIT the responder's is not known. */
	return memcmp(h->spi_r, sa->spi_r, IKE_SPI_LEN) == 0 ||
	       (memcmp(sa->spi_r, none, sizeof(none)) == 0 && h->exchange == IKE_SA_INIT);
}

/* The response of IKE_SA_INIT: in the clear, nothing is believed yet. */
static void message_init(struct ike_sa *sa, const struct ike_path *path, const uint8_t *msg,
			 size_t len, const struct ike_header *h)
{
	struct ike_payloads p;
	if (!(h->flags & IKE_FLAG_RESPONSE) || h->message_id != 0 || !sa->request.count ||
	    !sa->tasks || sa->tasks->kind != TASK_INIT) {
		sa->engine->counters.out_of_window++;
		return;
	}
	enum ike_verdict v =
	    ike_read_payloads(h->next, msg + IKE_HEADER_LEN, len - IKE_HEADER_LEN, &p);
	struct inbound in = {.h = *h, .p = &p, .path = *path, .msg = msg, .msg_len = len};
	message_response(sa, &in, v);
}

enum place { PLACE_NONE, PLACE_REQUEST, PLACE_REPEATED, PLACE_RESPONSE };

static enum place message_place(const struct ike_sa *sa, const struct ike_header *h)
{
	if (h->flags & IKE_FLAG_RESPONSE) {
		const struct task *t = sa->request.count ? sa->tasks : NULL;
		bool ours = t && table_tasks[t->kind]->exchange == h->exchange &&
			    t->kind != TASK_INIT && h->message_id == sa->next_id - 1;
		return ours ? PLACE_RESPONSE : PLACE_NONE;
	}
	if (h->message_id + 1 == sa->expected_id && sa->answer.count)
		return PLACE_REPEATED;
	if (sa->silent || h->message_id != sa->expected_id)
		return PLACE_NONE;
	if (sa->state != IKE_SA_CONNECTING)
		return PLACE_REQUEST;
	/* Until a responder knows who it talks to, there is one exchange.  With EAP it proved
	 * itself before, and who does not believe it, or lost hope, says so in another. */
	bool fits = h->exchange == IKE_AUTH ||
		    (h->exchange == IKE_INFORMATIONAL && eap_auth_is_under_way(sa));
	return !sa->initiator && fits ? PLACE_REQUEST : PLACE_NONE;
}

/* An authentic message, whole: its payloads are read and it goes to its row. */
static void message_opened(struct ike_sa *sa, struct inbound *in, enum place place, uint8_t first,
			   const uint8_t *inner, size_t len)
{
	struct ike_payloads p;
	enum ike_verdict v = ike_read_payloads(first, inner, len, &p);
	in->p = &p;
	if (sa->state == IKE_SA_CONNECTING) {
		if (!sa->initiator)
			sa->path = in->path;
	} else if (!ike_path_equal(&sa->path, &in->path)) {
		mobike_heard(sa, &in->path, place == PLACE_REQUEST);
	}
	if (place == PLACE_RESPONSE) {
		sa->answered_us = sa->engine->now_us;
		sa->answered_from = in->path.remote;
		message_response(sa, in, v);
		return;
	}
	if (v == IKE_OK && !info_deletes_ike(in))
		rekey_settle(sa);
	message_request(sa, in, v);
}

void message_input(struct ike_sa *sa, const struct ike_path *path, uint8_t *msg, size_t len,
		   const struct ike_header *h)
{
	struct ike *e = sa->engine;
	struct ike_payloads outer;
	struct ike_fragment f = {0};
	uint8_t *inner;
	size_t inner_len;

	if (!header_fits(sa, h)) {
		e->counters.unknown_spi++;
		return;
	}
	if (h->exchange == IKE_SA_INIT) {
		message_init(sa, path, msg, len, h);
		return;
	}
	enum place place = message_place(sa, h);
	if (place == PLACE_NONE || !sa->seal_in.encr) {
		e->counters.out_of_window++;
		return;
	}
	if ((h->next != IKE_PAYLOAD_SK && h->next != IKE_PAYLOAD_SKF) ||
	    ike_read_payloads(h->next, msg + IKE_HEADER_LEN, len - IKE_HEADER_LEN, &outer) !=
		IKE_OK ||
	    outer.count != 1) {
		e->counters.malformed++;
		return;
	}
	bool fragment = h->next == IKE_PAYLOAD_SKF;
	if (fragment && (!sa->fragmentation || !ike_read_fragment(&outer.at[0], &f) ||
			 (place == PLACE_REPEATED ? f.number != 1 : !fragment_wanted(sa, h, &f)))) {
		e->counters.out_of_window++;
		return;
	}
	if (!ike_open(&sa->seal_in, msg, len, fragment ? SKF_HEADERS : SK_HEADERS, &inner,
		      &inner_len)) {
		e->counters.unauthentic++;
		return;
	}
	if (place == PLACE_REPEATED) {
		answer_again(sa, path);
		return;
	}
	sa->heard_us = e->now_us;
	struct inbound in = {.h = *h, .path = *path, .fragmented = fragment};
	uint8_t first = outer.at[0].next;
	if (fragment) {
		if (!fragment_take(sa, h, &f, first, inner, inner_len, &first, &inner_len)) {
			sa_schedule(sa);
			return;
		}
		inner = e->open;
	}
	message_opened(sa, &in, place, first, inner, inner_len);
}
