/* SPDX-License-Identifier: MIT */
/*
 * What a home server publishes: this test is net at the other end of the channel, and looks into
 * the packet path's table.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>
#include "base/mem.h"
#include "daemon/home_routes.h"
#include "forward/state.h"
#include "no_io.h"

#define MANY 50000

static struct node node;
static struct config cfg;
static struct home_routes *routes;
static struct log quiet;
static int net_fd;
static struct sa sas[2];
static struct conn conns[2];
static struct peer peer;

static struct addr addr_of(const char *text)
{
	struct addr a;
	assert_int_equal(addr_parse(text, &a), 0);
	return a;
}

static struct prefix prefix_from(const char *text)
{
	struct prefix p;
	assert_int_equal(prefix_parse(text, &p), 0);
	return p;
}

/* The SA that packets to this address take; NULL: none. */
static const struct sa *leads_to(const char *dst)
{
	struct addr a = addr_of(dst);
	rcu_read_lock();
	const struct active *active = fib_find(node.fwd->fib, &a);
	const struct sa *sa = active ? active->sa[0] : NULL;
	rcu_read_unlock();
	return sa;
}

static struct netreq asked(enum netreq_kind kind, bool on)
{
	struct netreq m;
	int fd;
	assert_int_equal(netreq_read(net_fd, &m, &fd), 0);
	assert_int_equal(fd, -1);
	assert_int_equal(m.kind, kind);
	assert_int_equal(m.on, on);
	return m;
}

static void asked_route(const char *prefix, bool on, struct netreq *out)
{
	char text[PREFIX_TEXT_MAX];
	struct netreq m = asked(NETREQ_ROUTE, on);
	assert_string_equal(prefix_format(&m.prefix, text), prefix);
	if (out)
		*out = m;
}

static void asked_proxy(const char *addr, bool on)
{
	char text[ADDR_TEXT_MAX];
	struct netreq m = asked(NETREQ_PROXY, on);
	assert_string_equal(addr_format(&m.addr, text), addr);
}

static void nothing_asked(void)
{
	uint8_t octet;
	assert_int_equal(recv(net_fd, &octet, 1, MSG_DONTWAIT), -1);
}

static void stop(void *ctx)
{
	(void)ctx;
	loop_stop(node.loop);
}

static void answer(struct netreq *m)
{
	m->result = 0;
	assert_int_equal(netreq_write(net_fd, m, -1), 0);
	struct loop_timer *t = loop_timer_new(node.loop, stop, NULL);
	loop_timer_at(t, clock_now_us() + 5 * USEC_PER_MS);
	assert_int_equal(loop_run(node.loop), 0);
	loop_timer_free(t);
}

static struct registrar_terminal *terminal_of(const char *home)
{
	struct registrar_terminal *t = registrar_terminal_new(1, 1, 0);
	t->home_count = 1;
	t->homes[0] = addr_of(home);
	t->peer = &peer;
	return t;
}

static void publish(struct registrar_terminal *t, struct conn *c)
{
	struct binding *b = mem_zalloc(sizeof *b + sizeof c);
	b->terminal = t;
	b->home = t->homes[0];
	b->count = c != NULL;
	b->conns[0] = c;
	home_routes_publish(routes, b);
	free(b);
}

/* Comes, moves, goes: the packet path keeps what the kernel still gives, for a while. */
static void test_comes_and_goes(void **state)
{
	struct registrar_terminal *t = terminal_of("10.9.0.5");
	struct netreq m;
	(void)state;
	t->prefix_count = 1;
	t->prefixes[0] = prefix_from("10.8.0.0/24");
	snprintf(cfg.home_link, sizeof cfg.home_link, "right");
	publish(t, NULL); /* nothing was there */
	nothing_asked();
	publish(t, &conns[0]);
	asked_route("10.9.0.5/32", true, NULL);
	asked_route("10.8.0.0/24", true, NULL);
	asked_proxy("10.9.0.5", true);
	assert_ptr_equal(leads_to("10.9.0.5"), &sas[0]);
	assert_ptr_equal(leads_to("10.8.0.77"), &sas[0]);
	publish(t, &conns[1]);
	nothing_asked();
	assert_ptr_equal(leads_to("10.9.0.5"), &sas[1]);

	publish(t, NULL);
	asked_route("10.9.0.5/32", false, &m);
	asked_route("10.8.0.0/24", false, NULL);
	asked_proxy("10.9.0.5", false);
	assert_true(home_routes_tick(routes, clock_now_us()) == USEC_NEVER); /* net is silent */
	answer(&m);
	assert_ptr_equal(leads_to("10.9.0.5"), &sas[1]);
	usec_t end = home_routes_tick(routes, clock_now_us());
	assert_true(end != USEC_NEVER && end > clock_now_us());
	assert_true(home_routes_tick(routes, end) == USEC_NEVER);
	assert_null(leads_to("10.9.0.5"));
	assert_ptr_equal(leads_to("10.8.0.77"), &sas[1]); /* its answer did not come */
	home_routes_settle(routes, t);
	assert_null(leads_to("10.8.0.77"));
	registrar_terminal_free(t);
}

/* Back before the end: nothing is lost; and at once: nothing stays. */
static void test_back_and_at_once(void **state)
{
	struct registrar_terminal *t = terminal_of("10.9.0.6");
	struct netreq m;
	(void)state;
	cfg.home_link[0] = '\0';
	publish(t, &conns[0]);
	asked_route("10.9.0.6/32", true, NULL);
	publish(t, NULL);
	asked_route("10.9.0.6/32", false, &m);
	answer(&m);
	assert_true(home_routes_tick(routes, 0) != USEC_NEVER);
	publish(t, &conns[1]);
	asked_route("10.9.0.6/32", true, NULL);
	assert_true(home_routes_tick(routes, USEC_NEVER - 1) == USEC_NEVER);
	assert_ptr_equal(leads_to("10.9.0.6"), &sas[1]);
	home_routes_at_once(routes, true);
	publish(t, NULL);
	home_routes_at_once(routes, false);
	asked_route("10.9.0.6/32", false, &m);
	assert_null(leads_to("10.9.0.6"));
	answer(&m); /* of what is not there any more */
	assert_true(home_routes_tick(routes, 0) == USEC_NEVER);
	nothing_asked();
	registrar_terminal_free(t);
}

/* A pool's ranges as a whole, and again by a reload; on the home link each address by itself. */
static void test_pools(void **state)
{
	struct config_pool pool = {.range_count = 1,
				   .ranges[0] = {addr_of("10.7.0.4"), addr_of("10.7.0.9")}};
	struct config_pool other = {.range_count = 2,
				    .ranges = {{addr_of("10.6.0.0"), addr_of("10.6.0.255")},
					       {addr_of("10.7.0.4"), addr_of("10.7.0.9")}}};
	struct config fresh = {.pools = &other};
	struct registrar_terminal *t = terminal_of("10.7.0.5");
	(void)state;
	cfg.home_link[0] = '\0';
	cfg.pools = &pool;
	home_routes_pools(routes, &cfg, NULL);
	asked_route("10.7.0.4/30", true, NULL);
	asked_route("10.7.0.8/31", true, NULL);
	nothing_asked();
	publish(t, &conns[0]);
	nothing_asked();
	assert_ptr_equal(leads_to("10.7.0.5"), &sas[0]);
	publish(t, NULL);
	nothing_asked();
	assert_null(leads_to("10.7.0.5"));
	/* One that had a route of its own gives it back, though its pool was made meanwhile. */
	cfg.pools = NULL;
	publish(t, &conns[0]);
	asked_route("10.7.0.5/32", true, NULL);
	cfg.pools = &pool;
	publish(t, NULL);
	asked_route("10.7.0.5/32", false, NULL);
	home_routes_settle(routes, t);
	home_routes_pools(routes, &fresh, &cfg);
	asked_route("10.6.0.0/24", true, NULL);
	nothing_asked();
	home_routes_pools(routes, &cfg, &fresh);
	asked_route("10.6.0.0/24", false, NULL);
	nothing_asked();
	snprintf(cfg.home_link, sizeof cfg.home_link, "right");
	home_routes_pools(routes, &cfg, NULL);
	nothing_asked();
	publish(t, &conns[0]);
	asked_route("10.7.0.5/32", true, NULL);
	asked_proxy("10.7.0.5", true);
	home_routes_at_once(routes, true);
	publish(t, NULL);
	home_routes_at_once(routes, false);
	asked_route("10.7.0.5/32", false, NULL);
	asked_proxy("10.7.0.5", false);
	cfg.home_link[0] = '\0';
	cfg.pools = NULL;
	registrar_terminal_free(t);
}

/* As many as a home server is to hold: each costs what the first one costs. */
static void test_many(void **state)
{
	struct config_pool pool = {.range_count = 1,
				   .ranges[0] = {addr_of("10.0.0.0"), addr_of("10.255.255.255")}};
	static struct registrar_terminal *t[MANY];
	char text[ADDR_TEXT_MAX];
	(void)state;
	cfg.pools = &pool;
	for (unsigned i = 0; i < MANY; i++) {
		snprintf(text, sizeof text, "10.%u.%u.1", i / 250, i % 250);
		t[i] = terminal_of(text);
		publish(t[i], &conns[i % 2]);
	}
	assert_ptr_equal(leads_to("10.0.0.1"), &sas[0]);
	assert_ptr_equal(leads_to("10.199.249.1"), &sas[1]);
	for (unsigned i = 0; i < MANY; i++)
		publish(t[i], &conns[(i + 1) % 2]);
	assert_ptr_equal(leads_to("10.0.0.1"), &sas[1]);
	for (unsigned i = 0; i < MANY; i += 2)
		publish(t[i], NULL);
	assert_null(leads_to("10.0.0.1"));
	assert_ptr_equal(leads_to("10.0.1.1"), &sas[0]);
	nothing_asked();
	cfg.pools = NULL;
	home_routes_free(routes); /* with what is left */
	assert_null(leads_to("10.0.1.1"));
	routes = home_routes_new(&node);
	for (unsigned i = 0; i < MANY; i++)
		registrar_terminal_free(t[i]);
}

static int set_up(void **state)
{
	struct err err = {""};
	int fds[2];
	(void)state;
	rcu_register_thread();
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) < 0)
		return -1;
	net_fd = fds[0];
	quiet.level = LOG_LEVEL_ERROR;
	quiet.write = log_write_stderr;
	node.cfg = &cfg;
	node.log = &quiet;
	node.loop = loop_new();
	node.net = netreq_client_new(node.loop, fds[1], NULL, NULL);
	node.sadb = sadb_new();
	struct fwd_config fc = {.sadb = node.sadb, .io = no_io};
	node.fwd = fwd_new(&fc, &err);
	for (int i = 0; i < 2; i++)
		conns[i].out = &sas[i];
	routes = home_routes_new(&node);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	home_routes_free(routes);
	netreq_client_free(node.net);
	close(net_fd);
	loop_free(node.loop);
	fwd_free(node.fwd);
	rcu_barrier();
	sadb_free(node.sadb);
	rcu_unregister_thread();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_comes_and_goes),
	    cmocka_unit_test(test_back_and_at_once),
	    cmocka_unit_test(test_pools),
	    cmocka_unit_test(test_many),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
