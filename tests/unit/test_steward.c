/* SPDX-License-Identifier: MIT */
/* A home server's steward: who gets what, how often, and what becomes of it. */
#include "steward_rig.h"
#include "wire/mip4.h"

#define SV(rest)                                                                                   \
	"role = home-server listen = \"203.0.113.1\"\n"                                            \
	"home-agent = { \"10.1.0.1\", \"fd00:1::1\" }\n"                                           \
	"ike { id = \"vpn.example.org\" }\n" rest "\n"
#define FLEET "terminal fleet { id = \"*.fleet.example.org\" " PSK "}\n"
#define POOL                                                                                       \
	"pool main { address = { \"10.1.0.100-10.1.0.103\", \"fd00:1::100-fd00:1::1ff\" } "        \
	"dns = { \"10.1.0.53\", \"fd00:1::53\" } subnets = { \"10.0.0.0/9\", \"fd00::/16\" } }\n"
#define WORLD                                                                                      \
	SV(POOL "terminal alice { " ME PSK "home-address = { \"10.1.0.10\", \"fd00:1::10\" } }\n"  \
		"terminal bob { id = \"bob@example.org\" " PSK "pool = main }\n" FLEET)

static const struct ike_sj_connection *wish(const char *name, bool spare, bool reg)
{
	static struct ike_sj_connection c;
	c = conn_wish(name, spare, reg);
	return &c;
}

static void assert_addr(struct addr a, const char *text)
{
	char is[ADDR_TEXT_MAX];
	assert_string_equal(addr_format(&a, is), text);
}

/* --- a Sojourn with addresses of its own */

static void test_sojourn(void **state)
{
	(void)state;
	world_begin(WORLD);
	struct client *alice = client_new("alice@example.org", true);
	assert_true(client_up(alice, wish("wifi", false, true)));
	assert_addr(assigned_address(IKE_CP_IP4_ADDRESS), "10.1.0.10");
	assert_addr(assigned_address(IKE_CP_IP6_ADDRESS), "fd00:1::10");

	struct rig_child *child = client_child();
	struct conn *c = conn_at(child);
	assert_string_equal(c->name, "wifi");
	assert_true(steward_made(c));
	assert_true(c->udp);
	/* Packets to it need not wait for its first one. */
	assert_addr(rcu_dereference(c->out->path)->remote.addr, "192.0.2.10");
	assert_int_equal(rcu_dereference(c->out->path)->remote.port, 4500);
	assert_ptr_equal(c->in->space, &c->peer->space);
	assert_int_equal(c->peer->prefix_count, 2);
	assert_int_equal(c->state, CONN_ACTIVE);
	const struct binding *b = binding_of("10.1.0.10");
	assert_int_equal(b->count, 1);
	assert_ptr_equal(b->conns[0], c);
	assert_int_equal(b->why, BINDING_BY_SETUP);
	assert_int_equal(binding_of("fd00:1::10")->count, 1);

	/* What a terminal needs for the next registration. */
	assert_int_equal(child->registered.code, 0);
	assert_int_equal(child->registered.lifetime_s, 300);
	assert_int_equal(child->registered.time >> 32,
			 mip4_identification(RIG_WALL + w->g->now_us) >> 32);
	assert_addr(child->registered.home_agent4, "10.1.0.1");
	uint8_t key[JOINT_KEY_LEN];
	const struct registrar_terminal *rt = registrar_find(w->registrar, "alice");
	assert_int_equal(joint_registration_key(alice->sa, key), 0);
	assert_int_equal(rt->mn_ha_spi, JOINT_KEY_SPI);
	assert_int_equal(rt->mn_ha_key_len, JOINT_KEY_LEN);
	assert_memory_equal(rt->mn_ha_key, key, sizeof key);

	/* More of them; a spare one registers nothing; names stay apart. */
	assert_true(client_add(alice, wish("wifi", false, false)));
	assert_string_equal(conn_at(client_child())->name, "wifi-2");
	assert_int_equal(conn_at(client_child())->care_of.addr.family, 0);
	assert_null(rcu_dereference(conn_at(client_child())->out->path));
	assert_true(client_add(alice, wish("", true, true)));
	assert_int_equal(client_child()->registered.lifetime_s, 0);
	assert_int_equal(client_child()->registered.time >> 32,
			 mip4_identification(RIG_WALL + w->g->now_us) >> 32);
	assert_ptr_equal(b->conns[0], c);

	/* Not for another's address. */
	struct ike_sj_connection other = conn_wish("x", false, true);
	other.home_count = 1;
	other.homes[0] = ip("10.1.0.11");
	assert_true(client_add(alice, &other));
	assert_int_equal(client_child()->registered.code, MIP4_PROHIBITED);
	assert_ptr_equal(b->conns[0], c);

	/* The IKE SA follows what becomes active, wherever it is learned to be. */
	struct endpoint there = {ip("203.0.113.77"), 40001}, here = {ip("198.51.100.1"), 4500};
	conn_set_pair(w->node.table, c, &there, &here);
	steward_placed(w->s, c, w->g->now_us);
	assert_true(endpoint_equal(&ike_sa_path(w->g->b.sa)->remote, &there));
	assert_true(ike_sa_path(w->g->b.sa)->natt);
	conn_set_state(w->node.table, c, CONN_READY, w->g->now_us);
	there.port++;
	conn_set_pair(w->node.table, c, &there, &here);
	steward_placed(w->s, c, w->g->now_us);
	assert_int_equal(ike_sa_path(w->g->b.sa)->remote.port, 40001);
	world_end();
}

static void test_limits(void **state)
{
	(void)state;
	world_begin(WORLD);
	struct client *alice = client_new("alice@example.org", true);
	assert_true(client_up(alice, wish("wifi", false, true)));
	for (unsigned i = 0; i < w->cfg->ike->spares; i++)
		assert_true(client_add(alice, wish("", true, false)));
	assert_false(client_add(alice, wish("", true, false)));
	assert_int_equal(w->g->a.fail_notify, IKE_N_NO_ADDITIONAL_SAS);
	/* One that has a place is a spare no longer. */
	struct conn *spare = conn_at(client_child());
	struct endpoint there = {ip("203.0.113.77"), 4500}, here = {ip("198.51.100.1"), 4500};
	conn_set_pair(w->node.table, spare, &there, &here);
	assert_true(client_add(alice, wish("", true, false)));
	for (unsigned i = 2; i < STEWARD_CONNECTIONS_MAX; i++)
		assert_true(client_add(alice, wish("", false, false)));
	assert_false(client_add(alice, wish("", false, false)));
	assert_int_equal(steward_counts(w->s).connections,
			 STEWARD_CONNECTIONS_MAX + w->cfg->ike->spares);
	world_end();
}

/* --- who is who */

static void test_identities(void **state)
{
	(void)state;
	world_begin(WORLD "terminal one { id = \"one.fleet.example.org\" " PSK "pool = main }\n"
			  "terminal ann { id = \"CN=ann, O=Test\" " PSK "pool = main }\n");
	static const struct {
		const char *id, *idr, *found;
	} cases[] = {
	    {"alice@example.org", NULL, "alice"},
	    {"ALICE@Example.org", NULL, "alice"},
	    {"bob@example.org", "vpn.example.org", "bob"},
	    {"bob@example.org", "other.example.org", NULL},
	    {"two.fleet.example.org", NULL, "fleet"},
	    {"one.fleet.example.org", NULL, "one"},
	    {"fleet.example.org", NULL, NULL},
	    {"mallory@example.org", NULL, NULL},
	    {"10.1.0.10", NULL, NULL},
	    {"CN=ANN, O=Test", NULL, "ann"},
	    {"CN=ann, O=test", NULL, "ann"},
	    {"CN=ann, O=Other", NULL, NULL},
	};
	for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
		struct identity *id = (struct identity *)(uintptr_t)rig_id(cases[i].id);
		struct identity *idr =
		    cases[i].idr ? (struct identity *)(uintptr_t)rig_id(cases[i].idr) : NULL;
		const struct ike_peer *p = steward_find_peer(w->s, id, idr, false);
		if (cases[i].found) {
			assert_non_null(p);
			assert_string_equal(p->name, cases[i].found);
		} else {
			assert_null(p);
		}
		assert_null(steward_find_peer(w->s, id, idr, true));
		free(id);
		free(idr);
	}
	struct client *mallory = client_new("mallory@example.org", true);
	assert_false(client_up(mallory, NULL));
	mallory = client_new("alice@example.org", true);
	mallory->peer.psk_len--;
	assert_false(client_up(mallory, NULL));
	assert_int_equal(steward_counts(w->s).instances, 0);
	assert_int_equal(w->g->b.ups, 0);
	world_end();
}

static void test_eap(void **state)
{
	(void)state;
	world_begin(SC("pool main { address = \"10.1.0.100-10.1.0.103\" }\n"
		       "terminal carol { auth = eap-mschapv2 eap-identity = carol password = "
		       "\"" PASS "\" }\n"
		       "terminal dan { id = \"dan@example.org\" auth = eap-mschapv2 password = "
		       "\"" PASS "\" }\n"
		       "terminal tls { id = \"*@tls.example.org\" auth = certificate }\n" FLEET));
	for (struct config_terminal *t = w->cfg->terminals; t; t = t->next)
		if (!strcmp(t->name, "tls")) {
			t->peer->peer.remote_auth = IKE_BY_EAP;
			t->peer->peer.eap = EAP_TLS;
		}
	struct identity *any = (struct identity *)(uintptr_t)rig_id("192.0.2.44");
	const struct ike_peer *generic = steward_find_peer(w->s, any, NULL, true), *p;
	const char *password = NULL;
	assert_ptr_equal(generic, &w->cfg->ike->eap->peer);
	assert_null(steward_find_peer(w->s, any, NULL, false));
	p = steward_find_eap(w->s, generic, "carol", &password);
	assert_string_equal(p->name, "carol");
	assert_string_equal(password, PASS);
	p = steward_find_eap(w->s, generic, "dan@example.org", &password);
	assert_string_equal(p->name, "dan");
	assert_null(steward_find_eap(w->s, generic, "Carol", &password));
	assert_null(steward_find_eap(w->s, generic, "x@tls.example.org", &password));
	free(any);
	any = (struct identity *)(uintptr_t)rig_id("dan@example.org");
	p = steward_find_peer(w->s, any, NULL, true);
	assert_string_equal(p->name, "dan");
	assert_null(steward_find_peer(w->s, any, NULL, false));
	free(any);
	any = (struct identity *)(uintptr_t)rig_id("x@tls.example.org");
	p = steward_find_peer(w->s, any, NULL, true);
	assert_string_equal(p->name, "tls");
	assert_ptr_equal(steward_find_eap(w->s, p, "x@tls.example.org", &password), p);
	assert_string_equal(password, "");
	assert_null(steward_find_eap(w->s, p, "x@other.example.org", &password));
	assert_null(steward_find_eap(w->s, p, "carol", &password));
	free(any);
	world_end();
}

/* --- addresses of a pool */

static void test_pool_and_pattern(void **state)
{
	(void)state;
	world_begin(WORLD);
	struct client *one = client_new("one.fleet.example.org", true);
	struct client *two = client_new("Two.fleet.example.org", true);
	struct client *bob = client_new("bob@example.org", false);
	assert_true(client_up(one, wish("a", false, true)));
	struct addr one4 = assigned_address(IKE_CP_IP4_ADDRESS),
		    one6 = assigned_address(IKE_CP_IP6_ADDRESS);
	char text[ADDR_TEXT_MAX];
	assert_addr(assigned_address(IKE_CP_IP4_DNS), "10.1.0.53");
	assert_addr(assigned_address(IKE_CP_IP6_DNS), "fd00:1::53");
	const struct ike_cp *cp = &w->g->a.assigned;
	unsigned subnets = 0;
	for (uint8_t i = 0; i < cp->count; i++) {
		static const uint8_t nine[] = {10, 0, 0, 0, 255, 128, 0, 0};
		if (cp->at[i].attr == IKE_CP_IP4_SUBNET) {
			subnets++;
			assert_int_equal(cp->at[i].len, 8);
			assert_memory_equal(cp->at[i].value, nine, 8);
		} else if (cp->at[i].attr == IKE_CP_IP6_SUBNET) {
			subnets++;
			assert_int_equal(cp->at[i].value[16], 16);
		}
	}
	assert_int_equal(subnets, 2);
	assert_true(client_up(two, wish("a", false, true)));
	struct addr two4 = assigned_address(IKE_CP_IP4_ADDRESS);
	assert_false(addr_equal(&one4, &two4));
	assert_true(client_up(bob, NULL));
	struct addr bob4 = assigned_address(IKE_CP_IP4_ADDRESS);
	assert_false(addr_equal(&one4, &bob4));

	/* Each is a terminal of its own; what it may send is its addresses. */
	const struct registrar_terminal *rt = registrar_find(w->registrar, "Two.fleet.example.org");
	assert_non_null(rt);
	assert_true(addr_equal(&rt->homes[0], &two4));
	assert_ptr_equal(rt->bindings[0]->conns[0]->peer->owner, rt);
	assert_int_equal(rt->peer->prefix_count, 2);
	assert_true(prefix_contains(&rt->peer->prefixes[0], &two4));
	assert_false(prefix_contains(&rt->peer->prefixes[0], &one4));
	assert_int_equal(steward_counts(w->s).instances, 3);
	assert_int_equal(pool_counts(steward_pool(w->s, "main"), 4).used, 3);

	/* Away and back: the same again. */
	ike_sa_close(w->g->a.e, one->sa, "test", false, w->g->now_us);
	rig_settle(w->g);
	assert_null(registrar_find(w->registrar, "one.fleet.example.org"));
	assert_null(binding_of(addr_format(&one4, text)));
	assert_int_equal(pool_counts(steward_pool(w->s, "main"), 4).used, 2);
	struct client *three = client_new("three.fleet.example.org", true);
	assert_true(client_up(three, wish("a", false, true)));
	assert_true(client_up(one, wish("a", false, true)));
	struct addr again = assigned_address(IKE_CP_IP4_ADDRESS);
	assert_true(addr_equal(&again, &one4));
	again = assigned_address(IKE_CP_IP6_ADDRESS);
	assert_true(addr_equal(&again, &one6));

	/* No IPv4 left: IPv6 alone.  A client that wants IPv4 alone gets none. */
	struct client *four = client_new("four.fleet.example.org", true);
	w->g->a.assigned.count = 0;
	assert_true(client_up(four, wish("a", false, true)));
	assert_int_equal(assigned_address(IKE_CP_IP4_ADDRESS).family, 0);
	assert_int_equal(assigned_address(IKE_CP_IP6_ADDRESS).family, 6);
	world_end();
}

/* Whose names say the same as far as they are shown. */
static void test_names(void **state)
{
	(void)state;
	world_begin(SV(POOL FLEET));
	const char *const same = "a-name-that-is-much-longer-than-what-is-shown-of-it";
	char id[96];
	for (unsigned i = 0; i < 4; i++) {
		snprintf(id, sizeof id, "%s-%u.fleet.example.org", same, i);
		assert_true(client_up(client_new(id, true), wish("wifi", false, true)));
	}
	assert_int_equal(steward_counts(w->s).instances, 4);
	unsigned names = 0;
	for (const struct binding *b = registrar_first(w->registrar); b; b = b->next) {
		assert_ptr_equal(registrar_find(w->registrar, b->terminal->name), b->terminal);
		assert_memory_equal(b->terminal->name, same, 24);
		names += b->home.family == 4;
	}
	assert_int_equal(names, 4);
	world_end();
}

static void test_no_address(void **state)
{
	(void)state;
	world_begin(SV("pool main { address = \"10.1.0.100\" }\n" FLEET));
	struct client *one = client_new("one.fleet.example.org", false);
	struct client *two = client_new("two.fleet.example.org", false);
	assert_true(client_up(one, NULL));
	assert_addr(assigned_address(IKE_CP_IP4_ADDRESS), "10.1.0.100");
	unsigned children = rig_up_count(&w->g->a);
	client_up(two, NULL);
	assert_int_equal(w->g->a.fail_notify, IKE_N_INTERNAL_ADDRESS_FAILURE);
	assert_int_equal(rig_up_count(&w->g->a), children);
	assert_non_null(strstr(w->g->lines, "its pool is used up"));
	assert_int_equal(binding_of("10.1.0.100")->count, 1);
	world_end();
}

/* --- other makes */

static void test_other_make(void **state)
{
	(void)state;
	world_begin(WORLD);
	struct client *alice = client_new("alice@example.org", false);
	assert_true(client_up(alice, NULL));
	struct conn *c = conn_at(client_child());
	assert_false(c->udp);
	assert_ptr_equal(c->in->space, &c->in->own_space);
	assert_int_equal(c->state, CONN_ACTIVE);
	const struct binding *b = binding_of("10.1.0.10");
	assert_ptr_equal(b->conns[0], c);
	assert_int_equal(b->expires_us, USEC_NEVER);
	assert_ptr_equal(binding_of("fd00:1::10")->conns[0], c);
	const struct path *path = rcu_dereference(c->out->path);
	assert_addr(path->remote.addr, "192.0.2.10");
	assert_int_equal(path->remote.port, 0);
	assert_int_equal(path->sock, 2);
	assert_addr(c->care_of.addr, "192.0.2.10");
	assert_false(c->behind_nat);

	/* Another child SA beside it, as wide: the newest one carries; when it goes, the other. */
	assert_true(client_add(alice, NULL));
	struct rig_child *second = client_child();
	struct conn *d = conn_at(second);
	assert_ptr_not_equal(c, d);
	assert_ptr_equal(b->conns[0], d);
	assert_int_equal(c->state, CONN_READY);
	ike_child_delete(w->g->a.e, second->child, "test", w->g->now_us);
	rig_settle(w->g);
	assert_int_equal(steward_counts(w->s).connections, 1);
	assert_ptr_equal(b->conns[0], c);
	assert_int_equal(c->state, CONN_ACTIVE);

	/* One that is narrower takes nothing away from it. */
	alice->peer.child.remote.at[0] = rig_ts("10.77.0.0/16");
	alice->peer.child.remote.count = 1;
	assert_true(client_add(alice, NULL));
	assert_ptr_not_equal(conn_at(client_child()), c);
	assert_ptr_equal(b->conns[0], c);
	ike_child_delete(w->g->a.e, w->g->a.children[0].child, "test", w->g->now_us);
	rig_settle(w->g);
	assert_ptr_equal(b->conns[0], conn_at(client_child()));
	/* Which carries nothing of IPv6. */
	const struct binding *six = binding_of("fd00:1::10");
	assert_int_equal(six->count, 0);
	alice->peer.child.remote.at[0] = rig_ts("fd00::/16");
	assert_true(client_add(alice, NULL));
	assert_int_equal(six->count, 1);
	assert_ptr_equal(six->conns[0], conn_at(client_child()));
	assert_ptr_not_equal(b->conns[0], six->conns[0]);
	world_end();
}

/* By MOBIKE to another address, then behind a NAT and back: its path and form follow. */
static void test_mobike(void **state)
{
	(void)state;
	world_begin(WORLD);
	struct client *alice = client_new("alice@example.org", false);
	assert_true(client_up(alice, NULL));
	struct conn *c = conn_at(client_child());
	const struct binding *b = binding_of("10.1.0.10");
	assert_true(ike_sa_has_mobike(alice->sa));
	assert_false(steward_follows(c));

	struct ike_path path = *ike_sa_path(alice->sa);
	path.local.addr.b[3] = 99;
	ike_sa_move(w->g->a.e, alice->sa, &path, true, w->g->now_us);
	rig_settle(w->g);
	assert_addr(c->care_of.addr, "192.0.2.99");
	assert_addr(rcu_dereference(c->out->path)->remote.addr, "192.0.2.99");
	assert_addr(rcu_dereference(c->in->path)->remote.addr, "192.0.2.99");
	assert_false(c->udp);
	assert_ptr_equal(b->conns[0], c);
	const struct move *mv = NULL, *next;
	for (size_t i = 0; (next = moves_at(w->node.moves, i)); i++)
		if (!mv || next->id > mv->id)
			mv = next;
	assert_non_null(mv);
	assert_string_equal(mv->why, "MOBIKE");

	w->g->nat = true;
	w->g->nat_port = 1000;
	path.local.addr = ip("192.0.2.1");
	ike_sa_move(w->g->a.e, alice->sa, &path, true, w->g->now_us);
	rig_settle(w->g);
	assert_addr(c->care_of.addr, "203.0.113.9");
	assert_true(c->udp);
	assert_true(c->behind_nat);
	assert_true(atomic_load(&c->out->udp));
	assert_true(atomic_load(&c->in->udp));
	assert_int_equal(rcu_dereference(c->out->path)->remote.port, 5500);
	assert_int_equal(rcu_dereference(c->out->path)->sock, 1);
	/* Its NAT may put it elsewhere, and the IKE SA with it. */
	assert_true(steward_follows(c));
	struct endpoint there = {ip("203.0.113.9"), 5501};
	conn_set_pair(w->node.table, c, &there, &c->server);
	steward_placed(w->s, c, w->g->now_us);
	assert_int_equal(ike_sa_path(w->g->b.sa)->remote.port, 5501);
	there.port = 5500;
	conn_set_pair(w->node.table, c, &there, &c->server);
	steward_placed(w->s, c, w->g->now_us);
	/* Rekeyed there. */
	ike_child_rekey(w->g->a.e, w->g->a.children[0].child, w->g->now_us);
	rig_settle(w->g);
	assert_ptr_equal(conn_at(client_child()), c);
	assert_int_equal(c->in->spi, client_child()->spi_out);

	w->g->nat = false;
	path.local.addr.b[3] = 98;
	ike_sa_move(w->g->a.e, alice->sa, &path, true, w->g->now_us);
	rig_settle(w->g);
	assert_false(c->udp);
	assert_int_equal(rcu_dereference(c->out->path)->remote.port, 0);
	assert_ptr_equal(b->conns[0], c);
	world_end();
}

/* --- time goes on */

static unsigned pairs_in_use(const struct conn *c)
{
	unsigned count = 0;
	for (const struct conn_pair *p = c->pairs; p; p = p->next)
		count += !conn_sa_drains(c, p->in);
	return count;
}

static void test_rekeys(void **state)
{
	(void)state;
	world_begin(WORLD);
	struct client *alice = client_new("alice@example.org", true);
	assert_true(client_up(alice, wish("wifi", false, true)));
	struct rig_child *first = client_child();
	struct conn *c = conn_at(first);
	uint8_t key[JOINT_KEY_LEN];
	const struct registrar_terminal *rt = registrar_find(w->registrar, "alice");
	assert_int_equal(rt->mn_ha_key_len, sizeof key);
	memcpy(key, rt->mn_ha_key, sizeof key);
	struct sa *out = c->out;

	/* By the terminal: ours switches when the old one is deleted, or told. */
	ike_child_rekey(w->g->a.e, first->child, w->g->now_us);
	rig_settle(w->g);
	assert_ptr_equal(conn_at(client_child()), c);
	assert_ptr_not_equal(c->out, out);
	assert_int_equal(c->out->spi, client_child()->spi_in);
	assert_int_equal(pairs_in_use(c), 1);
	assert_true(w->changes > 0);
	assert_int_equal(steward_counts(w->s).connections, 1);
	/* By us, as the packet path asks. */
	uint32_t spi = c->in->spi;
	steward_rekey(w->s, c, w->g->now_us);
	rig_settle(w->g);
	assert_int_not_equal(c->in->spi, spi);
	assert_int_equal(pairs_in_use(c), 1);
	assert_int_equal(rig_up_count(&w->g->a), 1);
	assert_ptr_equal(binding_of("10.1.0.10")->conns[0], c);

	/* Of the IKE SA, by either: the line goes on, under its key. */
	ike_sa_rekey(w->g->a.e, alice->sa, w->g->now_us);
	rig_settle(w->g);
	assert_int_equal(w->g->b.rekeys, 1);
	assert_true(client_add(alice, wish("lte", false, false)));
	struct ike_sa *ours = ike_sa_first(w->g->b.e);
	while (ike_sa_state(ours) != IKE_SA_ESTABLISHED)
		ours = ike_sa_next(ours);
	ike_sa_rekey(w->g->b.e, ours, w->g->now_us);
	rig_settle(w->g);
	assert_int_equal(w->g->b.rekeys, 2);
	assert_true(client_add(alice, wish("eth", false, false)));
	assert_memory_equal(rt->mn_ha_key, key, sizeof key);
	assert_int_equal(steward_counts(w->s).lines, 1);
	assert_int_equal(steward_counts(w->s).connections, 3);
	assert_int_equal(steward_down(w->s, "alice", w->g->now_us), 1);
	rig_settle(w->g);
	assert_int_equal(steward_counts(w->s).instances, 0);
	assert_int_equal(rig_up_count(&w->g->a), 0);
	assert_int_equal(binding_of("10.1.0.10")->count, 0);
	assert_null(conn_table_first(w->node.table));
	world_end();
}

/* Authenticates again beside its old IKE SA: with numbers from 1, and nothing of the old one is
 * left as soon as the new one works. */
static void test_again(void **state)
{
	(void)state;
	world_begin(WORLD);
	struct client *alice = client_new("alice@example.org", true);
	assert_true(client_up(alice, wish("wifi", false, true)));
	struct conn *old = conn_at(client_child());
	const struct peer *old_peer = old->peer;
	struct registrar_terminal *rt = registrar_find(w->registrar, "alice");
	uint8_t old_key[JOINT_KEY_LEN], key[JOINT_KEY_LEN];
	memcpy(old_key, rt->mn_ha_key, sizeof old_key);
	const struct binding *b = rt->bindings[0];
	unsigned leaving = w->leaving;

	assert_true(client_up(alice, wish("wifi", false, true)));
	assert_int_equal(w->g->b.ups, 2);
	struct conn *c = conn_at(client_child());
	assert_string_equal(c->name, "wifi");
	assert_ptr_not_equal(c->peer, old_peer);
	assert_ptr_equal(rt, registrar_find(w->registrar, "alice"));
	assert_ptr_equal(rt->peer, c->peer);
	assert_ptr_equal(b->conns[0], c);
	assert_int_equal(b->count, 1);
	assert_int_equal(w->leaving, leaving + 1);
	assert_int_equal(steward_counts(w->s).lines, 1);
	assert_int_equal(steward_counts(w->s).connections, 1);
	assert_int_equal(rig_up_count(&w->g->a), 1);
	assert_int_equal(joint_registration_key(alice->sa, key), 0);
	assert_memory_equal(rt->mn_ha_key, key, sizeof key);
	assert_memory_not_equal(rt->mn_ha_key, old_key, sizeof key);

	/* After a restart of the terminal: its first word ends what it had. */
	struct client *reborn = client_new("alice@example.org", true);
	assert_true(client_up(reborn, wish("wifi", false, true)));
	assert_int_equal(steward_counts(w->s).lines, 1);
	assert_int_equal(b->count, 1);
	assert_ptr_equal(b->conns[0], conn_at(client_child()));
	world_end();
}

/* --- reload */

static void reload(const char *text)
{
	struct config *fresh = load_good(text);
	steward_prune(w->s, w->cfg, fresh, w->g->now_us);
	steward_extend(w->s, fresh, w->g->now_us);
	config_free(w->cfg);
	w->cfg = w->node.cfg = fresh;
	rig_settle(w->g);
}

static void test_reload(void **state)
{
	(void)state;
	world_begin(WORLD);
	struct client *alice = client_new("alice@example.org", true);
	struct client *bob = client_new("bob@example.org", true);
	struct client *one = client_new("one.fleet.example.org", true);
	assert_true(client_up(alice, wish("wifi", false, true)));
	struct conn *c = conn_at(client_child());
	assert_true(client_up(bob, wish("wifi", false, true)));
	assert_true(client_up(one, wish("wifi", false, true)));
	char home[ADDR_TEXT_MAX];
	struct addr one4 = assigned_address(IKE_CP_IP4_ADDRESS);
	addr_format(&one4, home);

	/* The same again: nothing is disturbed, and everything goes on. */
	reload(WORLD);
	assert_int_equal(w->g->b.downs, 0);
	assert_int_equal(steward_counts(w->s).lines, 3);
	assert_true(client_add(alice, wish("lte", false, false)));
	assert_int_equal(pool_counts(steward_pool(w->s, "main"), 4).used, 2);

	/* bob is gone, carol is there: the others stay. */
	reload(SV(POOL "terminal carol { id = \"carol@example.org\" " PSK "pool = main }\n"
		       "terminal alice { " ME PSK
		       "home-address = { \"10.1.0.10\", \"fd00:1::10\" } }\n" FLEET));
	assert_null(bob->sa);
	assert_non_null(alice->sa);
	assert_non_null(one->sa);
	assert_ptr_equal(binding_of("10.1.0.10")->conns[0], c);
	assert_int_equal(binding_of(home)->count, 1);
	assert_null(registrar_find(w->registrar, "bob"));
	struct client *carol = client_new("carol@example.org", true);
	assert_true(client_up(carol, wish("wifi", false, true)));
	assert_false(client_up(bob, NULL));

	/* Another secret is another terminal; the pool lies elsewhere. */
	reload(SV("pool main { address = \"10.1.0.200-10.1.0.210\" }\n"
		  "terminal alice { " ME "secret = \"another-secret-of-alice\" "
		  "home-address = { \"10.1.0.10\", \"fd00:1::10\" } }\n" FLEET));
	assert_null(alice->sa);
	assert_null(one->sa);
	assert_int_equal(steward_counts(w->s).instances, 0);
	assert_true(client_up(one, wish("wifi", false, true)));
	assert_int_equal(assigned_address(IKE_CP_IP4_ADDRESS).b[3] / 10, 20);
	world_end();
}

static int set_up(void **state)
{
	rcu_register_thread();
	return rig_setup(state);
}

static int tear_down(void **state)
{
	rcu_unregister_thread();
	return rig_teardown(state);
}

/* --- transport mode */

static struct client *l2tp_client(const char *id)
{
	struct client *c = client_new(id, false);
	c->peer.child.transport = true;
	c->peer.request_addresses = false;
	c->peer.mobike = false;
	return c;
}

/* Two behind one NAT whose name is the same private address, each saying that it begins anew. */
static void test_l2tp(void **state)
{
	(void)state;
	world_begin(S("pool l2tp { address = \"10.1.9.0/24\" }\n"
		      "terminal l2tp { id = \"%any\" mode = transport pool = l2tp " PSK "}"));
	w->g->nat = true;
	w->g->nat_port = 1000;
	struct client *one = l2tp_client("192.168.1.7");
	assert_true(client_up(one, NULL));
	struct conn *c1 = conn_at(client_child());
	assert_int_equal(c1->in->mode, SA_TRANSPORT);
	assert_int_equal(c1->out->mode, SA_TRANSPORT);
	assert_addr(c1->out->pair->local, "10.1.0.1");
	struct addr home1 = c1->out->pair->remote;
	struct prefix pool;
	assert_int_equal(prefix_parse("10.1.9.0/24", &pool), 0);
	assert_true(prefix_contains(&pool, &home1));
	assert_true(addr_equal(&c1->in->pair->remote, &home1));
	assert_addr(c1->care_of.addr, "203.0.113.9");

	w->g->nat_port = 2000;
	struct client *two = l2tp_client("192.168.1.7");
	assert_true(client_up(two, NULL));
	struct conn *c2 = conn_at(client_child());
	struct addr home2 = c2->out->pair->remote;
	assert_false(addr_equal(&home1, &home2));
	assert_addr(c2->care_of.addr, "203.0.113.9");
	assert_int_not_equal(c1->care_of.port, c2->care_of.port);
	assert_int_equal(ike_count(w->g->b.e, IKE_SA_ESTABLISHED), 2);
	assert_int_equal(c1->state, CONN_ACTIVE);
	assert_int_equal(c2->state, CONN_ACTIVE);
	struct steward_counts counts = steward_counts(w->s);
	assert_int_equal(counts.instances, 2);

	/* A rekey keeps the pair. */
	ike_child_rekey(w->g->a.e, client_child()->child, w->g->now_us);
	rig_settle(w->g);
	assert_true(addr_equal(&c2->in->pair->remote, &home2));
	assert_true(addr_equal(&c2->out->pair->remote, &home2));
	world_end();
}

/* A tunnel asked of such a terminal has nothing that is its own. */
static void test_l2tp_tunnel(void **state)
{
	(void)state;
	world_begin(S("pool l2tp { address = \"10.1.9.0/24\" }\n"
		      "terminal l2tp { id = \"%any\" mode = transport pool = l2tp " PSK "}"));
	struct client *one = l2tp_client("192.0.2.10");
	one->peer.child.transport = false;
	(void)client_up(one, NULL);
	assert_null(conn_table_first(w->node.table));
	world_end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_l2tp),
	    cmocka_unit_test(test_l2tp_tunnel),
	    cmocka_unit_test(test_sojourn),
	    cmocka_unit_test(test_limits),
	    cmocka_unit_test(test_identities),
	    cmocka_unit_test(test_eap),
	    cmocka_unit_test(test_pool_and_pattern),
	    cmocka_unit_test(test_names),
	    cmocka_unit_test(test_no_address),
	    cmocka_unit_test(test_other_make),
	    cmocka_unit_test(test_mobike),
	    cmocka_unit_test(test_rekeys),
	    cmocka_unit_test(test_again),
	    cmocka_unit_test(test_reload),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
