/* SPDX-License-Identifier: MIT */
/*
 * Inside the engine.  Which file does what:
 *
 *   engine.c   IKE SAs by SPI, deadlines, datagrams in, cookies, what ike.h asks for
 *   message.c  protection, the window, retransmission; dispatch by the table
 *   fragment.c RFC 7383: putting messages together    task.c  the queue of our exchanges
 *   table.c    the exchanges as a table: one row for each request and each response
 *   proposal.c SA payloads and lists of suites
 *   init.c     IKE_SA_INIT    auth.c   IKE_AUTH (with eap_auth.c)    keys.c  key derivation
 *   child.c    child SAs and the exchange that makes one    child_make.c  what is agreed in it
 *   rekey.c    CREATE_CHILD_SA that rekeys, collisions
 *   info.c     INFORMATIONAL: delete, liveness    mobike.c   RFC 4555    sojourn.c   our notifies
 *
 * How an exchange runs.  A wish becomes a struct task in the SA's queue; when no request of ours is
 * out, the first one is built (row->build) and sent; its response (row->response) ends it.  A
 * request of the peer's goes to the row that fits (row->request), which writes the response.
 * Handlers decode into locals, check everything, then change.
 *
 * Reentrance.  While a datagram, a deadline or a wish is handled (ike->depth > 0), a wish that
 * comes from a callback only queues its task; the task runs, and an IKE SA that was to be closed at
 * once ends, when the outermost event is over.  So an IKE SA never goes under a handler that did
 * not end it itself (outcome GONE), and the one buffer for messages being built is enough.
 */
#ifndef IKE_STATE_H
#define IKE_STATE_H

#include "base/hash.h"
#include "base/heap.h"
#include "crypto/ike_seal.h"
#include "ike/ike.h"

/* --- tasks: exchanges of ours */

enum task_kind {
	TASK_INIT,	   /* IKE_SA_INIT */
	TASK_AUTH,	   /* IKE_AUTH, all its rounds */
	TASK_CHILD_CREATE, /* CREATE_CHILD_SA */
	TASK_CHILD_REKEY,
	TASK_IKE_REKEY,
	TASK_CHILD_DELETE, /* INFORMATIONAL */
	TASK_IKE_DELETE,
	TASK_LIVENESS,
	TASK_MOBIKE,	  /* UPDATE_SA_ADDRESSES */
	TASK_ROUTABILITY, /* COOKIE2 (RFC 4555 3.7) */
};
#define TASK_KINDS (TASK_ROUTABILITY + 1)

struct task {
	enum task_kind kind;
	struct ike_child *child; /* CHILD_REKEY, CHILD_DELETE; NULL when it went meanwhile */
	void *user;		 /* CHILD_CREATE: ike_child_create's */
	struct ike_sj_connection *connection; /* owned; NULL none */
	struct negotiation *neg; /* owned; CREATE_CHILD_SA's: nonces, key exchange, SPIs */
	struct ike_path path;	 /* MOBIKE: then; ROUTABILITY: the path to be confirmed */
	uint8_t cookie2[16];	 /* MOBIKE, ROUTABILITY */
	bool cookie2_set;
	bool nat_here, nat_there; /* ROUTABILITY: what the update told of its path */
	usec_t not_before_us;	  /* after TEMPORARY_FAILURE */
	uint8_t tries;		  /* of the whole exchange */
	bool at_once;		  /* IKE_DELETE: told once, no answer is waited for */
	char why[48];
	struct task *next;
};

/* What a CREATE_CHILD_SA (or IKE_AUTH's child) has in hand until it ends. */
struct negotiation {
	struct kex *kex; /* NULL: none */
	uint8_t nonce_i[IKE_NONCE_MAX], nonce_r[IKE_NONCE_MAX];
	uint16_t nonce_i_len, nonce_r_len;
	uint32_t spi_in;	       /* child: ours */
	uint8_t ike_spi[IKE_SPI_LEN];  /* IKE rekey: ours */
	const struct kex_group *group; /* of kex; INVALID_KE_PAYLOAD asks for another */
	uint32_t revoked_spi;	/* the peer deleted it while its answer was on its way; 0 none */
	bool unwanted;		/* what was to be replaced is gone: so is what comes of it */
	bool no_ke;		/* the peer makes child SAs only without key exchange */
	struct ike_ts_list *ts; /* owned: [2], what we offered: local ones, remote ones */
	/* A simultaneous rekey by the peer that we answered while ours was out: what it made, and
	 * the lowest of its two nonces (RFC 7296 2.8.1).  Cleared when it is resolved. */
	struct ike_child *rival_child;
	struct ike_sa *rival_sa;
	uint8_t rival_nonce[IKE_NONCE_MAX];
	uint16_t rival_nonce_len;
};
struct negotiation *negotiation_new(struct ike *e); /* with a nonce of 32 octets as nonce_i */
void negotiation_free(struct negotiation *n);	    /* wipes */

/* --- child SAs */

enum child_state {
	CHILD_UP,
	CHILD_REKEYING, /* our request is out */
	CHILD_REPLACED, /* another took over; a delete is to come */
	CHILD_DELETING, /* our delete is out */
};

struct ike_child {
	struct ike_child *next;
	struct ike_sa *sa;
	void *user;
	enum child_state state;
	uint8_t protocol;
	bool transport;
	bool switched; /* outbound in use */
	bool told;     /* child_up took it; else it is only there to be deleted */
	uint32_t spi_in, spi_out;
	struct suite suite;
	struct ike_ts *ts;			  /* owned: local ones, then remote ones */
	uint8_t ts_local, ts_remote;		  /* counts */
	struct ike_child *replaces, *replaced_by; /* borrowed; NULL when the other is gone */
	usec_t rekey_at_us, end_at_us;		  /* USEC_NEVER */
};

/* --- IKE SAs */

struct sent_message {	/* a request or a response as it went out */
	uint8_t *bytes; /* owned: all fragments one after the other */
	uint32_t len;
	uint16_t *lens; /* owned, of each fragment; NULL: one */
	uint16_t count; /* 0: nothing kept */
};

struct half; /* half.h: what only IKE_SA_INIT and IKE_AUTH need */

struct ike_sa {
	struct ike_sa *next, *prev; /* all of them */
	struct hash_link by_spi;    /* ours */
	struct hash_link by_id;	    /* of the other side; once established */
	struct hash_link by_peer;
	struct heap_item deadline; /* next thing to do by time */
	struct ike_sa *run_next;   /* waits for the end of the event under way */
	bool run_waits;
	bool held;    /* there is no way to the other side */
	bool silent;  /* told as gone already: stays only to answer a repeated request */
	bool rekeyed; /* another took over: its end is told to nobody */
	void *user;
	struct ike *engine;
	const struct ike_peer *peer; /* NULL before it is known */
	enum ike_sa_state state;
	bool initiator; /* of this IKE SA (also when by rekey) */
	bool sojourn, mobike, fragmentation, childless;
	bool nat_here, nat_there, udp; /* udp: children are encapsulated */
	bool client; /* we began the first of its line (auth.c; a rekey hands it on) */
	uint8_t spi_i[IKE_SPI_LEN], spi_r[IKE_SPI_LEN];
	struct suite suite;
	uint8_t sk_d[PRF_LEN_MAX];
	struct ike_seal seal_out, seal_in;
	uint64_t iv_out; /* counter of AEAD IVs */
	struct ike_path path;
	struct identity *local_id, *remote_id; /* owned */
	char *eap_identity;		       /* owned; NULL none */
	/* the window: one request each way */
	uint32_t next_id;	     /* of our next request */
	uint32_t expected_id;	     /* of the peer's next request */
	struct sent_message request; /* ours that is out */
	usec_t request_at_us;	     /* next retransmission; USEC_NEVER: none out */
	uint8_t request_tries;
	struct sent_message answer; /* to the peer's last one (expected_id - 1) */
	usec_t answer_until_us;
	struct reassembly *fragments; /* fragment.c; of a request, of a response; NULL: none */
	struct task *tasks;	      /* the first is under way when request.count > 0 */
	struct half *half;	      /* until established */
	struct ike_child *children;
	struct ike_sa *replaced_by, *replaces;	 /* rekey; NULL */
	usec_t since_us, rekey_at_us, end_at_us; /* end: half open, closing, replaced */
	usec_t end_latest_us;			 /* replaced */
	usec_t heard_us;			 /* last authenticated message */
	usec_t sent_us;				 /* last message, for keepalives */
	usec_t liveness_at_us;
	usec_t answered_us; /* one of our requests, last */
	struct endpoint answered_from;
	uint32_t hash_algorithms;  /* the peer's, RFC 7427; 0: none told */
	uint32_t moved_message_id; /* of the newest request that told an address (MOBIKE) */
	bool moved_any;
	/* MOBIKE, client: our address as the server last saw it (NAT_DETECTION_DESTINATION_IP's
	 * hash, which is another one under other SPIs); 0 not told */
	uint8_t seen_at[20];
	/* MOBIKE: what else the peer told of its addresses */
	uint8_t additional_count;
	struct addr *additional; /* owned */
	/* by the configuration payload: ours (client) or the peer's */
	uint8_t assigned_count;
	struct addr *assigned; /* owned */
};

#define STRANGER_LINES 10 /* log lines a second of unproven peers */

struct ike {
	struct ike_config cfg;
	struct ike_ops ops;
	const struct log *log;
	struct ike_counters counters;
	usec_t now_us;	    /* of the event being handled */
	unsigned depth;	    /* of events being handled */
	struct ike_sa *run; /* what waits for the end of the event */
	struct ike_sa *sas;
	size_t sa_count, counts[IKE_SA_CLOSING + 1];
	struct hash by_spi, by_id, by_peer;
	struct heap deadlines;
	uint64_t seed; /* of the hashes */
	/* we are responder and have seen no proof: oldest first, and by remote address */
	struct half *half_first, *half_last;
	size_t half_open;
	struct hash half_by_addr;
	size_t silent;		      /* IKE SAs that only answer again */
	size_t reassembly_bytes;      /* of fragments from peers without a proof yet */
	uint8_t cookie_secret[2][32]; /* by version & 1 */
	usec_t cookie_since_us;
	uint8_t cookie_version; /* 0: none made yet */
	struct log_limit log_limit, error_limit;
	uint16_t fail_notify; /* sa_fail */
	char fail_why[128];
	uint8_t out[IKE_MESSAGE_MAX];  /* a message being built */
	uint8_t open[IKE_MESSAGE_MAX]; /* a message put together from fragments */
};

/* --- the table (table.c) */

/* A request or response of the peer's, decrypted, its payloads read. */
struct inbound {
	struct ike_header h;
	const struct ike_payloads *p;
	struct ike_path path; /* whence */
	const uint8_t *msg;   /* IKE_SA_INIT: the whole message */
	size_t msg_len;
	bool fragmented;
};

enum outcome {
	DONE,	   /* request: the response is written; response: the task ended */
	AGAIN,	   /* response: build the next request of the same task */
	RETRY,	   /* response: the task stays in the queue until not_before_us */
	IGNORED,   /* response: as if it had not come (IKE_SA_INIT: nobody vouches for it) */
	GONE,	   /* the IKE SA is gone */
	SA_FAILED, /* request: send the response (an error notify, say), then the IKE SA goes;
		    * response: it goes.  sa_fail says why */
};

struct row {
	const char *story; /* "child SA rekeyed by the peer" */
	enum ike_exchange exchange;
	enum task_kind task; /* ours: build and response */
	bool (*fits)(const struct ike_sa *sa,
		     const struct inbound *in); /* requests; NULL: always */
	uint64_t required, allowed; /* payload types as bits (type - 32); SA..EAP; others that are
				     * known are ignored, a missing one is INVALID_SYNTAX */
	/* Writes the request; false: nothing to send, the task ends. */
	bool (*build)(struct ike_sa *sa, struct task *t, struct ike_builder *b);
	enum outcome (*response)(struct ike_sa *sa, struct task *t, const struct inbound *in);
	/* No answer ever, or the SA ends meanwhile: the task is freed afterwards. */
	void (*abandoned)(struct ike_sa *sa, struct task *t, uint16_t notify);
	enum outcome (*request)(struct ike_sa *sa, const struct inbound *in, struct ike_builder *b);
};
extern const struct row *const table_tasks[TASK_KINDS]; /* ours, by kind */
extern const struct row *const table_requests[];	/* the peer's, the first that fits */
extern const size_t table_requests_count;

/* --- engine.c */
/* Around each event; engine_leave of the outermost runs what waited. */
void engine_enter(struct ike *e, usec_t now_us);
void engine_leave(struct ike *e);
/* With our SPI, in no index yet; as initiator of its exchange.  NULL: sas_max. */
struct ike_sa *sa_create(struct ike *e, bool initiator);
void sa_index(struct ike_sa *sa);
/* Calls child_down for each child and sa_down, then frees.  `told` false: sa_down is not called. */
void sa_end(struct ike_sa *sa, uint16_t notify, const char *why, bool told);
/* The same for the daemon, but the answer that was just sent can be repeated for some seconds. */
void sa_end_answered(struct ike_sa *sa, uint16_t notify, const char *why);
/* Logs, counts; what is ESTABLISHED (its identities are set by then) is found by identity. */
void sa_set_state(struct ike_sa *sa, enum ike_sa_state s, const char *why);
void sa_set_peer(struct ike_sa *sa, const struct ike_peer *peer);
void sa_schedule(struct ike_sa *sa); /* its deadline from its fields, into the heap */
/* Tasks of this IKE SA run when the event under way is over (at once when none is). */
void sa_run_later(struct ike_sa *sa);
/* For `return sa_fail(sa, notify, "...")`: why the IKE SA goes (log, sa_down).  SA_FAILED. */
enum outcome sa_fail(struct ike_sa *sa, uint16_t notify, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* INITIAL_CONTACT of a peer that was authenticated: every other IKE SA between these two identities
 * ends. */
void sa_initial_contact(struct ike_sa *sa);
/* Another IKE SA with its peer is established, and could be where this one is.  One that cannot
 * follow us from another path does not count: it may not even be told of its end, and its addresses
 * are to be this one's. */
bool sa_has_another(const struct ike_sa *sa);
void sa_log(const struct ike_sa *sa, enum log_level level, const char *fmt, ...)
    __attribute__((format(printf, 3, 4))); /* "ike: ... peer= remote= spi=" */
/* Random rekey time: rekey less up to a tenth. */
usec_t sa_jitter(struct ike *e, usec_t span_us);

/* --- task.c */
/* Queues behind what is there (at_front: next) and sends at once when nothing is out. t is taken.
 */
struct task *task_new(enum task_kind kind);
void task_free(struct task *t);
void task_queue(struct ike_sa *sa, struct task *t, bool at_front);
bool task_is_queued(const struct ike_sa *sa, enum task_kind kind); /* or under way */
/* Where its request goes: a question to an address goes there. */
const struct ike_path *task_path(const struct ike_sa *sa, const struct task *t);
void task_run(struct ike_sa *sa); /* builds and sends the first when nothing is out */
/* The child ends: its tasks and negotiations know of it no more.  child_end calls it. */
void task_forget_child(struct ike_sa *sa, const struct ike_child *c);
/* After a rekey of the IKE SA: what waits on old is fresh's to do, but what is under way and what
 * is about old itself. */
void task_move(struct ike_sa *old, struct ike_sa *fresh);

/* --- message.c */
/* One datagram, counted. */
void message_emit(struct ike *e, const struct ike_path *path, const uint8_t *msg, size_t len);
/* A message of ours in the clear (IKE_SA_INIT). */
void message_send_plain(struct ike_sa *sa, const struct ike_path *path, const uint8_t *msg,
			size_t len, bool keep_as_request);
/* Protected, cut to fragments when that was negotiated and is needed; kept. `inner`: payloads.
 * Retransmission is set up for a request.  False: it could not be sealed. */
bool message_send(struct ike_sa *sa, const struct ike_path *path, enum ike_exchange exchange,
		  bool response, uint32_t id, uint8_t first, const uint8_t *inner, size_t len);
void message_input(struct ike_sa *sa, const struct ike_path *path, uint8_t *msg, size_t len,
		   const struct ike_header *h);
/* A request of ours that is out, again.  False: the IKE SA is gone, since nobody answers. */
bool message_retransmit(struct ike_sa *sa);
void message_forget_request(struct ike_sa *sa);
void sent_clear(struct sent_message *m);

/* --- fragment.c (RFC 7383) */
/* One authentic fragment that was wanted; `next` is its next-payload octet.  True: it was the last
 * one missing; the payloads are in engine->open, *len octets, the first of type *first. */
bool fragment_take(struct ike_sa *sa, const struct ike_header *h, const struct ike_fragment *f,
		   uint8_t next, const uint8_t *inner, size_t inner_len, uint8_t *first,
		   size_t *len);
/* Is this fragment worth opening: numbers that can be, and not there yet. */
bool fragment_wanted(const struct ike_sa *sa, const struct ike_header *h,
		     const struct ike_fragment *f);
usec_t fragment_deadline(const struct ike_sa *sa); /* USEC_NEVER */
void fragment_tick(struct ike_sa *sa, usec_t now_us);
void fragment_clear(struct ike_sa *sa);

/* --- proposal.c: lists of ours and SA payloads; IKE, ESP and AH alike */
/* An SA payload with every proposal of a list.  spi of spi_len octets; NULL with 0.  groups: with
 * key exchange (as suite_transforms). */
void proposal_put(struct ike_builder *b, enum suite_use use, const struct suite_list *ours,
		  bool groups, const void *spi, uint8_t spi_len);
struct proposal_choice {
	struct suite suite;
	uint8_t number;	 /* of the proposal that was taken */
	uint8_t spi_len; /* the peer's */
	uint8_t spi[IKE_SPI_LEN];
};
/* Responder: the first of ours that the offer allows, one with `group` (NULL: any) before others.
 * ESP and AH: spi_len must be 4; IKE: `spi_len` as given. False: none. */
bool proposal_choose(enum suite_use use, const struct suite_list *ours,
		     const struct ike_proposals *offered, bool groups,
		     const struct kex_group *group, uint8_t spi_len, struct proposal_choice *out);
/* Initiator: the one proposal that came back; false: not what we offered. */
bool proposal_accept(enum suite_use use, const struct suite_list *ours,
		     const struct ike_proposals *came, bool groups, uint8_t spi_len,
		     struct proposal_choice *out);
/* Responder: what was chosen, with our SPI. */
void proposal_put_choice(struct ike_builder *b, enum suite_use use, const struct proposal_choice *c,
			 bool groups, const void *spi, uint8_t spi_len);

/* --- init.c, half.c, keys.c; auth.c's rows are in half.h */
/* A request of IKE_SA_INIT from a stranger: may make an IKE SA. */
void init_request(struct ike *e, const struct ike_path *path, const uint8_t *msg, size_t len,
		  const struct ike_header *h);
extern const struct row init_row;
void half_free(struct half *h); /* wipes; NULL allowed */
/* Responder: counted as half open from here, until init_half_remove (half_free's caller has
 * sa->half; sa_set_state ESTABLISHED and sa_end call it). */
void init_half_add(struct ike_sa *sa);
void init_half_remove(struct ike_sa *sa);
/* SKEYSEED and all SK_ (RFC 7296 2.14); shared: g^ir.  In a rekey old is the old SA (2.18). */
struct ike_sk { /* that only IKE_AUTH needs */
	uint8_t pi[PRF_LEN_MAX], pr[PRF_LEN_MAX];
};
int keys_derive(struct ike_sa *sa, const struct ike_sa *old, const uint8_t *shared,
		size_t shared_len, const uint8_t *ni, size_t ni_len, const uint8_t *nr,
		size_t nr_len, struct ike_sk *sk) __attribute__((warn_unused_result));
/* KEYMAT of a child (2.17), encryption then integrity, for us out and in. */
int keys_child(const struct ike_sa *sa, const struct suite *s, bool we_began, const uint8_t *shared,
	       size_t shared_len, const uint8_t *ni, size_t ni_len, const uint8_t *nr,
	       size_t nr_len, uint8_t *key_out, uint8_t *key_in, size_t key_len)
    __attribute__((warn_unused_result));
/* We want UDP encapsulation although there is no NAT. */
bool nat_is_forced(const struct ike_sa *sa);
void keys_tell(struct ike_sa *sa); /* to ops.keys, when allowed */
/* SHA-1(SPIi | SPIr | address | port) (2.23). */
void nat_hash(const struct ike_sa *sa, const struct endpoint *ep, uint8_t out[20]);
void nat_put(const struct ike_sa *sa, const struct ike_path *path, struct ike_builder *b);
/* Is there a NAT before us, before the other side?  False: no such notifies were there. */
bool nat_detect(const struct ike_sa *sa, const struct ike_payloads *p, const struct ike_path *path,
		bool *here, bool *there);

/* --- child.c: used by IKE_AUTH and CREATE_CHILD_SA alike.
 *
 * Initiator: child_put_request writes SA, TSi, TSr and the notifies (and, given neg with a nonce,
 * Ni and KEi: the order on the wire is SA, Ni, KEi, TSi, TSr).  child_take_response makes the child
 * or says why not. Responder: child_answer checks the request, makes the child and writes the
 * response's payloads, or an error notify. */
void child_put_request(struct ike_sa *sa, struct negotiation *neg, const struct ike_child *rekeyed,
		       const struct ike_sj_connection *connection, bool with_ke,
		       struct ike_builder *b);
/* 0 and *made; an error notify; 1 (never a notify): silently nothing.  auth: in IKE_AUTH (nonces
 * are the IKE SA's, given in neg). */
uint16_t child_take_response(struct ike_sa *sa, struct negotiation *neg, bool auth,
			     const struct ike_payloads *p, struct ike_child *rekeyed,
			     const struct ike_sj_connection *connection, void *user,
			     struct ike_child **made);
/* Returns 0, or the error notify that it wrote.  neg: in IKE_AUTH the IKE SA's nonces; in
 * CREATE_CHILD_SA empty, filled in. */
uint16_t child_answer(struct ike_sa *sa, struct negotiation *neg, bool auth,
		      const struct ike_payloads *p, struct ike_child *rekeyed,
		      struct ike_builder *b, struct ike_child **made);
void child_end(struct ike_child *c, const char *why); /* child_down, out of the list, freed */
struct ike_child *child_by_spi_out(struct ike_sa *sa, uint8_t protocol, uint32_t spi);
/* A delete of a child SA that is not there: it may be the one that an answer on its way will name.
 */
void child_revoke(struct ike_sa *sa, uint32_t spi_out);
struct ike_child *child_by_spi_in(struct ike_sa *sa, uint8_t protocol, uint32_t spi);
/* Begins rekeys and deletes that are due (sa_schedule looks when). */
void child_tick(struct ike_sa *sa, usec_t now_us);
extern const struct row child_row_create, child_row_create_request;

/* --- rekey.c */
extern const struct row rekey_row_child, rekey_row_child_request, rekey_row_ike,
    rekey_row_ike_request;
/* A request came on an IKE SA that the peer made by a rekey of its own while ours was out: it holds
 * that one for the survivor, so it is (2.25.2).  Not for a request that deletes it. */
void rekey_settle(struct ike_sa *sa);
/* The IKE SA ends: others know of it no more, and its children go to the one that the peer made
 * instead, if there is one.  sa_end calls it first. */
void rekey_forget(struct ike_sa *sa);

/* --- info.c */
extern const struct row info_row_child_delete, info_row_ike_delete, info_row_liveness,
    info_row_request;
/* The SA's own liveness, rekey and keepalive when they are due. */
void info_tick(struct ike_sa *sa, usec_t now_us);
/* Is this the request that deletes the IKE SA itself? */
bool info_deletes_ike(const struct inbound *in);

/* --- mobike.c */
extern const struct row mobike_row_update, mobike_row_routability;
/* Part of info_row_request: takes the notifies of RFC 4555 in a request, writes what answers them.
 */
/* What a liveness check asks and learns beside that the peer lives: whether a NAT has given us
 * another address (RFC 4555 3.8). */
void mobike_take_init(struct ike_sa *sa, const struct ike_payloads *p);
void mobike_put_liveness(const struct ike_sa *sa, struct ike_builder *b);
void mobike_take_liveness(struct ike_sa *sa, const struct inbound *in);
void mobike_take_request(struct ike_sa *sa, const struct inbound *in, struct ike_builder *b);
/* In IKE_AUTH: MOBIKE_SUPPORTED and our additional addresses / the peer's. */
void mobike_put_auth(struct ike_sa *sa, struct ike_builder *b);
void mobike_take_auth(struct ike_sa *sa, const struct ike_payloads *p);
/* An authenticated message that is newer than all before came from elsewhere (NAT rebinding,
 * RFC 7296 2.23): only when the peer is behind a NAT and MOBIKE is not in use, or a Sojourn. */
void mobike_heard(struct ike_sa *sa, const struct ike_path *path, bool request);

/* --- sojourn.c: private notifies and the vendor ID */
#define SJ_N_CONNECTION IKE_N_PRIVATE_FIRST	  /* with a child's request */
#define SJ_N_REGISTERED (IKE_N_PRIVATE_FIRST + 1) /* with its response */
void sojourn_put_vendor(struct ike_builder *b);
bool sojourn_is_vendor(const struct ike_payload *p);
void sojourn_put_connection(struct ike_builder *b, const struct ike_sj_connection *c);
bool sojourn_take_connection(const struct ike_payloads *p, struct ike_sj_connection *c);
void sojourn_put_registered(struct ike_builder *b, const struct ike_sj_registered *r);
bool sojourn_take_registered(const struct ike_payloads *p, struct ike_sj_registered *r);

#endif
