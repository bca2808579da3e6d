/* SPDX-License-Identifier: MIT */
/*
 * The privileged process: which requests it refuses (as a table), and a whole life of it in a
 * namespace with a node that asks, reloads and ends; at the end everything is as it was.
 */
#include <fcntl.h>
#include <net/if.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <cmocka.h>
#include "base/mem.h"
#include "daemon/net.h"
#include "daemon/net_check.h"
#include "netns.h"
#include "platform/netreq.h"

#define KEY                                                                                        \
	"\"0x101112131415161718191a1b1c1d1e1f101112131415161718191a1b1c1d1e1f10111213141516171819" \
	"1a1b1c1d1e1f\""
#define KEY_2                                                                                      \
	"\"0x202122232425262728292a2b2c2d2e2f202122232425262728292a2b2c2d2e2f20212223242526272829" \
	"2a2b2c2d2e2f\""
#define REGISTRATION                                                                               \
	"registration-spi = 0x100\n"                                                               \
	"registration-key = "                                                                      \
	"\"0x000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\"\n"
#define SUITE "cipher = aes128-cbc\nintegrity = hmac-sha-256-128\n"

static char directory[] = "/tmp/sojourn-test-XXXXXX";

static const char server_text[] =
    "role = home-server\nlisten = \"203.0.113.1\"\nhome-agent = \"10.1.0.1\"\nhome-link = right\n"
    "terminal alice {\nhome-address = \"10.1.0.10\"\n" REGISTRATION "connection wifi {\n" SUITE
    "spi-in = 0x1001\nkey-in = " KEY "\nspi-out = 0x2001\nkey-out = " KEY_2 "\n}\n}\n";
#define TERMINAL_HEAD "role = terminal\nhome-address = \"10.1.0.10\"\nhome-agent = \"10.1.0.1\"\n"
#define TERMINAL_WIFI                                                                              \
	"connection wifi {\ninterface = left\nserver = \"203.0.113.1\"\n" SUITE                    \
	"spi-out = 0x1001\nkey-out = " KEY "\nspi-in = 0x2001\nkey-in = " KEY_2 "\n}\n"
static const char terminal_text[] = TERMINAL_HEAD REGISTRATION TERMINAL_WIFI;
static const char without_key[] = TERMINAL_HEAD "registration-spi = 0x100\n" TERMINAL_WIFI;

static struct addr addr(const char *text)
{
	struct addr a = {0};
	if (text)
		assert_int_equal(addr_parse(text, &a), 0);
	return a;
}

static struct config *read_text(const char *text, const char *path)
{
	struct err err = {""};
	FILE *in = fmemopen((void *)(uintptr_t)text, strlen(text), "r");
	struct config *c = config_read(in, path, &err);
	fclose(in);
	if (!c)
		fail_msg("%s", err.text);
	return c;
}

struct asked {
	enum netreq_kind kind;
	bool udp;
	const char *local;
	uint16_t port;
	const char *interface, *prefix, *addr, *gateway;
	unsigned ifindex;
	uint32_t value;
	const char *name, *dns;
	const char *why; /* NULL: allowed; part of the refusal */
};

static struct netreq request(const struct asked *a)
{
	struct netreq r = {.kind = a->kind,
			   .on = true,
			   .udp = a->udp,
			   .local = {addr(a->local), a->port},
			   .ifindex = a->ifindex,
			   .addr = addr(a->addr),
			   .gateway = addr(a->gateway),
			   .value = a->value};
	if (a->interface)
		strcpy(r.interface, a->interface);
	if (a->name)
		strcpy(r.name, a->name);
	if (a->dns)
		r.addrs[r.addr_count++] = addr(a->dns);
	if (a->prefix)
		assert_int_equal(prefix_parse(a->prefix, &r.prefix), 0);
	return r;
}

static void check_table(const struct config *cfg, const struct asked *table, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct netreq r = request(&table[i]);
		const char *why = net_check(cfg, &r);
		if (!table[i].why != !why || (why && !strstr(why, table[i].why)))
			fail_msg("row %zu: %s, wanted %s", i, why ? why : "allowed",
				 table[i].why ? table[i].why : "allowed");
	}
}

static void test_terminal_requests(void **state)
{
	static const struct asked table[] = {
	    {NETREQ_SOCK, .udp = true, .local = "192.168.1.5", .port = 4500, .interface = "left"},
	    {NETREQ_SOCK, .udp = true, .local = "192.168.1.5", .interface = "left"},
	    {NETREQ_SOCK, .local = "192.168.1.5", .interface = "left"},
	    {NETREQ_SOCK, .local = "192.168.1.5", .port = 1, .why = "no port"},
	    {NETREQ_SOCK, .udp = true, .local = "192.168.1.5", .port = 53, .why = "port"},
	    {NETREQ_SOCK, .udp = true, .local = "0.0.0.0", .port = 4500, .why = "care-of"},
	    {NETREQ_SOCK, .udp = true, .local = "::", .port = 4500, .why = "care-of"},
	    {NETREQ_SOCK, .udp = true, .port = 4500, .why = "needs an address"},
	    {NETREQ_SOCK, .udp = true, .local = "10.1.0.10", .port = 4500, .why = "cannot be"},
	    {NETREQ_SOCK, .udp = true, .local = "224.0.0.1", .port = 4500, .why = "cannot be"},
	    {NETREQ_SOCK, .udp = true, .local = "192.168.1.5", .interface = "sojourn0",
	     .why = "loop"},
	    {NETREQ_HOME_ADDR, .prefix = "10.1.0.10/32"},
	    {NETREQ_HOME_ADDR, .prefix = "10.1.0.11/32", .why = "not one of"},
	    {NETREQ_HOME_ADDR, .prefix = "10.1.0.10/31", .why = "stands alone"},
	    {NETREQ_HOME_ADDR, .prefix = "10.1.0.10/32", .interface = "left", .why = "section"},
	    {NETREQ_ROUTE, .prefix = "0.0.0.0/0", .addr = "10.1.0.10"},
	    {NETREQ_ROUTE, .prefix = "0.0.0.0/0", .addr = "10.1.0.11", .why = "preferred source"},
	    {NETREQ_ROUTE, .prefix = "0.0.0.0/0", .gateway = "10.1.0.1", .why = "no gateway"},
	    {NETREQ_ROUTE, .prefix = "0.0.0.0/0", .gateway = "fd00::1", .why = "families"},
	    {NETREQ_ROUTE, .prefix = "0.0.0.0/0", .interface = "left", .why = "section"},
	    {NETREQ_ROUTE, .why = "no destination"},
	    {NETREQ_PROXY, .addr = "10.1.0.10", .why = "only a home server"},
	    {NETREQ_ANNOUNCE, .addr = "10.1.0.10", .interface = "left", .why = "section"},
	    {NETREQ_ANNOUNCE, .addr = "10.1.0.1", .interface = "left", .why = "not one of"},
	    {NETREQ_RESOLVE, .addr = "192.168.1.1", .ifindex = 2},
	    {NETREQ_RESOLVE, .addr = "192.168.1.1", .why = "no gateway"},
	    {NETREQ_RESOLVE, .addr = "255.255.255.255", .ifindex = 0, .why = "no gateway"},
	    {NETREQ_RESOLVE, .addr = "ff02::1", .ifindex = 2, .why = "no gateway"},
	    {NETREQ_TUN_MTU, .value = 576},
	    {NETREQ_TUN_MTU, .value = 575, .why = "below"},
	    {NETREQ_TUN_MTU, .value = 65535},
	    {NETREQ_TUN_MTU, .value = 65536, .why = "above"},
	    {NETREQ_STOP, .why = "only the privileged"},
	    {NETREQ_RELOAD, .why = "only the privileged"},
	    {.kind = NETREQ_RELOAD_PLEASE},
	};
	(void)state;
	struct config *cfg = read_text(terminal_text, "terminal.conf");
	check_table(cfg, table, ARRAY_LEN(table));
	config_free(cfg);
}

static void test_server_requests(void **state)
{
	static const struct asked table[] = {
	    {NETREQ_SOCK, .udp = true, .local = "203.0.113.1", .port = 4500},
	    {NETREQ_SOCK, .udp = true, .local = "0.0.0.0", .port = 4500},
	    {NETREQ_SOCK, .local = "203.0.113.1"},
	    {NETREQ_SOCK, .udp = true, .local = "203.0.113.2", .port = 4500, .why = "listen"},
	    {NETREQ_SOCK, .udp = true, .local = "203.0.113.1", .port = 4501, .why = "port"},
	    {NETREQ_HOME_ADDR, .prefix = "10.1.0.10/32", .why = "only a terminal"},
	    {NETREQ_ROUTE, .prefix = "10.1.0.10/32"},
	    {NETREQ_ROUTE, .prefix = "10.1.0.11/32", .why = "no terminal's"},
	    {NETREQ_ROUTE, .prefix = "10.1.0.0/24", .why = "no terminal's"},
	    {NETREQ_ROUTE, .prefix = "0.0.0.0/0", .why = "no terminal's"},
	    {NETREQ_ROUTE, .prefix = "10.1.0.10/32", .interface = "left", .why = "into the tunnel"},
	    {NETREQ_PROXY, .addr = "10.1.0.10"},
	    {NETREQ_PROXY, .addr = "10.1.0.1", .why = "no terminal's"},
	    {NETREQ_ANNOUNCE, .addr = "10.1.0.10", .interface = "right", .why = "proxy"},
	    {NETREQ_RESOLVE, .addr = "10.1.0.2", .ifindex = 2, .why = "only a terminal"},
	};
	(void)state;
	struct config *cfg = read_text(server_text, "server.conf");
	check_table(cfg, table, ARRAY_LEN(table));
	config_free(cfg);
}

static struct config_pool pool_of(const char *from, const char *to)
{
	return (struct config_pool){.range_count = 1, .ranges[0] = {addr(from), addr(to)}};
}

/* A terminal with IKE whose addresses the server assigns. */
static void test_assigned_requests(void **state)
{
	static const struct asked table[] = {
	    {NETREQ_SOCK, .udp = true, .local = "192.168.1.5", .port = 500, .interface = "left"},
	    {NETREQ_SOCK, .udp = true, .local = "192.168.1.5", .port = 4500, .interface = "left"},
	    {NETREQ_SOCK, .udp = true, .local = "192.168.1.5", .port = 53, .why = "port"},
	    {NETREQ_SOCK, .local = "192.168.1.5", .interface = "left"},
	    {NETREQ_HOME_ADDR, .prefix = "10.7.0.1/32"},
	    {NETREQ_HOME_ADDR, .prefix = "fd00::7/128"},
	    {NETREQ_HOME_ADDR, .prefix = "10.7.0.0/31", .why = "stands alone"},
	    {NETREQ_HOME_ADDR, .prefix = "127.0.0.1/32", .why = "not one of"},
	    {NETREQ_HOME_ADDR, .prefix = "224.0.0.9/32", .why = "not one of"},
	    {NETREQ_HOME_ADDR, .prefix = "169.254.1.1/32", .why = "not one of"},
	    {NETREQ_HOME_ADDR, .prefix = "fe80::1/128", .why = "not one of"},
	    {NETREQ_HOME_ADDR, .prefix = "0.0.0.0/32", .why = "not one of"},
	    {NETREQ_ROUTE, .prefix = "0.0.0.0/0", .addr = "10.7.0.1"},
	    {NETREQ_ROUTE, .prefix = "0.0.0.0/0", .addr = "127.0.0.1", .why = "preferred source"},
	    {NETREQ_LOOKUP, .name = "server.example"},
	    {NETREQ_LOOKUP, .name = "server.example.", .why = "not that of a server"},
	    {NETREQ_LOOKUP, .name = "203.0.113.1", .why = "not that of a server"},
	    {NETREQ_LOOKUP, .name = "", .why = "not that of a server"},
	    {NETREQ_RESOLVCONF, .dns = "10.7.0.53"},
	    {NETREQ_RESOLVCONF, .dns = "fd00::53"},
	    {NETREQ_RESOLVCONF, .dns = "127.0.0.1", .why = "none of a name server"},
	    {NETREQ_RESOLVCONF, .why = "no name server"},
	};
	(void)state;
	struct config *cfg = read_text(terminal_text, "terminal.conf");
	struct config_ike ike = {.port = 500,
				 .server_count = 2,
				 .servers = {{.name = "203.0.113.1", .addr = addr("203.0.113.1")},
					     {.name = "server.example"}}};
	struct config_peer peer = {0};
	uint8_t homes = cfg->terminals->home_count;
	struct netreq r = request(&table[13]);
	assert_non_null(net_check(cfg, &r)); /* without IKE */
	cfg->ike = &ike;
	cfg->terminals->peer = &peer;
	cfg->terminals->home_count = 0;
	check_table(cfg, table, ARRAY_LEN(table));
	/* With configured addresses these alone, whatever the server says. */
	cfg->terminals->home_count = homes;
	r = request(&table[4]);
	assert_non_null(net_check(cfg, &r));
	cfg->ike = NULL;
	cfg->terminals->peer = NULL;
	config_free(cfg);
}

static void test_pool_requests(void **state)
{
	static const struct asked table[] = {
	    {NETREQ_ROUTE, .prefix = "10.5.0.16/28"},
	    {NETREQ_ROUTE, .prefix = "10.5.0.10/32"},
	    {NETREQ_ROUTE, .prefix = "10.5.0.200/32"},
	    {NETREQ_ROUTE, .prefix = "10.5.0.9/32", .why = "no terminal's"},
	    {NETREQ_ROUTE, .prefix = "10.5.0.201/32", .why = "no terminal's"},
	    {NETREQ_ROUTE, .prefix = "10.5.0.0/28", .why = "no terminal's"},
	    {NETREQ_ROUTE, .prefix = "10.5.0.192/28", .why = "no terminal's"},
	    {NETREQ_ROUTE, .prefix = "0.0.0.0/0", .why = "no terminal's"},
	    {NETREQ_ROUTE, .prefix = "fd05::/64"},
	    {NETREQ_ROUTE, .prefix = "fd05::/63", .why = "no terminal's"},
	    {NETREQ_PROXY, .addr = "10.5.0.10"},
	    {NETREQ_PROXY, .addr = "10.5.0.9", .why = "no terminal's"},
	    {NETREQ_PROXY, .why = "no terminal's"},
	    {NETREQ_SOCK, .udp = true, .local = "203.0.113.1", .port = 500},
	    {NETREQ_LOOKUP, .name = "server.example", .why = "not that of a server"},
	    {NETREQ_RESOLVCONF, .dns = "10.7.0.53", .why = "only a terminal"},
	    {NETREQ_TUN_MTU, .value = 1000, .why = "below"},
	};
	(void)state;
	struct config *cfg = read_text(server_text, "server.conf");
	struct config_ike ike = {.port = 500};
	struct config_pool second = pool_of("fd05::", "fd05::ffff:ffff:ffff:ffff");
	struct config_pool first = pool_of("10.5.0.10", "10.5.0.200");
	first.next = &second;
	cfg->ike = &ike;
	cfg->pools = &first;
	check_table(cfg, table, ARRAY_LEN(table));
	cfg->ike = NULL;
	cfg->pools = NULL;
	config_free(cfg);
}

/* The home server tells its inner address, to which registrations go whatever `routes` says. */
static void test_told_home_agent(void **state)
{
	static const struct asked table[] = {
	    {NETREQ_ROUTE, .prefix = "10.8.0.0/16", .addr = "10.1.0.77"},
	    {NETREQ_ROUTE, .prefix = "10.1.0.1/32", .addr = "10.1.0.77"},
	    {NETREQ_ROUTE, .prefix = "10.1.0.0/24", .addr = "10.1.0.77", .why = "not in `routes`"},
	    {NETREQ_ROUTE, .prefix = "10.1.0.1/32", .interface = "left", .why = "not in `routes`"},
	};
	(void)state;
	struct config *cfg = read_text("role = terminal routes = \"10.8.0.0/13\"\nike { server = "
				       "vpn.example.org id = alice secret = long-enough }\n",
				       "terminal.conf");
	check_table(cfg, table, ARRAY_LEN(table));
	config_free(cfg);
}

/* --- a whole life */

#define MUST(x)                                                                                    \
	do {                                                                                       \
		if (!(x)) {                                                                        \
			fprintf(stderr, "node: line %d: %s\n", __LINE__, #x);                      \
			_exit(99);                                                                 \
		}                                                                                  \
	} while (0)

static void write_config(const char *path, const char *text, const char *more)
{
	FILE *f = fopen(path, "w");
	assert_non_null(f);
	fprintf(f, "control = \"%s/run/control\"\nroot = \"%s/empty\"\n%s%s", directory, directory,
		more, text);
	fclose(f);
	assert_int_equal(chmod(path, 0600), 0);
}

static void write_key(const char *path)
{
	FILE *f = fopen(path, "w");
	MUST(f && fprintf(f, "c0c1c2c3c4c5c6c7c8c9cacbcccdcecf\n") > 0);
	fclose(f);
	MUST(chmod(path, 0600) == 0);
}

static struct net *start_net(const char *text, const char *more, struct net_start *start,
			     struct err *err)
{
	static char path[128];
	snprintf(path, sizeof(path), "%s/sojourn.conf", directory);
	write_config(path, text, more);
	struct config *cfg = config_load(path, err);
	if (!cfg)
		fail_msg("%s", err->text);
	struct net *n = net_new(cfg, NULL, start, err);
	if (!n)
		config_free(cfg);
	return n;
}

static void close_start(struct net_start *s)
{
	tun_close(&s->tun);
	close(s->control_fd);
	close(s->channel_fd);
}

static struct netreq ask(int channel, const struct asked *a, bool on, int *fd)
{
	static uint32_t id;
	struct netreq r = request(a), m;
	int got;
	r.on = on;
	r.id = ++id;
	MUST(netreq_write(channel, &r, -1) == 0);
	MUST(netreq_read(channel, &m, &got) == 0);
	MUST(m.id == id && m.kind == a->kind);
	if (fd)
		*fd = got;
	else
		MUST(got < 0);
	return m;
}

static void node_of_terminal(int channel)
{
	const struct asked home = {NETREQ_HOME_ADDR, .prefix = "10.1.0.10/32"};
	const struct asked route = {NETREQ_ROUTE, .prefix = "0.0.0.0/0", .addr = "10.1.0.10"};
	const struct asked sock = {NETREQ_SOCK, .udp = true, .local = "10.2.0.5", .port = 4500,
				   .interface = "left"};
	const struct asked bad = {NETREQ_SOCK, .udp = true, .local = "0.0.0.0", .port = 4500};
	const struct asked mtu = {NETREQ_TUN_MTU, .value = 1333};
	const struct asked please = {.kind = NETREQ_RELOAD_PLEASE};
	struct netreq m;
	char path[128];
	int fd;
	MUST(ask(channel, &home, false, NULL).result == -ENOENT);
	MUST(ask(channel, &home, true, NULL).result == 0);
	MUST(ask(channel, &route, true, NULL).result == 0);
	MUST(netns_do("ip route get 8.8.8.8 | grep -q 'dev sojourn0.*src 10.1.0.10'"));
	MUST(netns_do("ip route get 8.8.8.8 mark 0x534a | grep -q 'via 10.2.0.1 dev left'"));
	MUST(netns_do("ip route get 10.2.0.7 | grep -q 'dev left'"));
	MUST(ask(channel, &mtu, true, NULL).result == 0);
	MUST(netns_do("ip link show sojourn0 | grep -q 'mtu 1333'"));
	MUST(ask(channel, &sock, true, &fd).result == 0 && fd >= 0);
	MUST(ask(channel, &sock, true, &fd).result == 0 && fd >= 0); /* from another port */
	MUST(netns_do("grep -q 2 /proc/sys/net/ipv4/conf/left/rp_filter"));
	m = ask(channel, &bad, true, NULL);
	MUST(m.result == -EPERM && strstr(m.text, "refused: "));

	/* A configuration that is wrong, one that may not change, one that is right. */
	snprintf(path, sizeof(path), "%s/sojourn.conf", directory);
	write_config(path, terminal_text, "nonsense = yes\n");
	m = ask(channel, &please, true, NULL);
	MUST(m.result == -EINVAL && strstr(m.text, "sojourn.conf:3"));
	write_config(path, terminal_text, "table = 435\n");
	m = ask(channel, &please, true, NULL);
	MUST(m.result == -EINVAL && strstr(m.text, "table"));
	/* With a key in a file that the node could not open, and that is gone when it reads. */
	char key[128], named[256];
	snprintf(key, sizeof(key), "%s/key", directory);
	snprintf(named, sizeof(named), "log-level = debug\nregistration-key-file = \"%s\"\n", key);
	write_key(key);
	write_config(path, without_key, named);
	MUST(ask(channel, &please, true, NULL).result == 0);
	MUST(unlink(key) == 0);
	MUST(netreq_read(channel, &m, &fd) == 0 && m.kind == NETREQ_RELOAD && fd >= 0);
	struct err err = {""};
	FILE *in = fdopen(fd, "r");
	struct config *cfg = config_read_bundle(in, path, &err);
	MUST(cfg && cfg->log_level == LOG_LEVEL_DEBUG);
	MUST(cfg->terminals->registration_key[0] == 0xc0);
	MUST(ftruncate(fileno(in), 0) < 0); /* both read the same text */
	fclose(in);
	config_free(cfg);
	MUST(ask(channel, &please, true, NULL).result == -EINVAL); /* one at a time */
	const struct asked done = {.kind = NETREQ_RELOAD_DONE};
	MUST(ask(channel, &done, true, NULL).result == 0);

	MUST(ask(channel, &route, false, NULL).result == 0);
	MUST(ask(channel, &route, false, NULL).result == -ENOENT);
	MUST(ask(channel, &route, true, NULL).result == 0);
	kill(getppid(), SIGTERM);
	MUST(netreq_read(channel, &m, &fd) == 0 && m.kind == NETREQ_STOP);
	_exit(0);
}

static void node_of_server(int channel)
{
	const struct asked proxy = {NETREQ_PROXY, .addr = "10.1.0.10"};
	const struct asked route = {NETREQ_ROUTE, .prefix = "10.1.0.10/32"};
	MUST(ask(channel, &proxy, true, NULL).result == 0);
	MUST(ask(channel, &route, true, NULL).result == 0);
	MUST(netns_do("ip neigh show proxy | grep -q '^10.1.0.10 dev right'"));
	MUST(netns_do("grep -q 1 /proc/sys/net/ipv4/ip_forward"));
	MUST(netns_do("ip route get 10.1.0.10 | grep -q 'dev sojourn0'"));
	_exit(3); /* dies without being asked to */
}

#define STATE                                                                                      \
	"{ ip rule; ip -6 rule; ip -o link | cut -d' ' -f2; ip neigh show proxy; "                 \
	"ip -o -4 addr; ip route show table all; sysctl -a -r "                                    \
	"'forward|rp_filter|accept_ra$|proxy' 2>/dev/null; } > "

static void remember(const char *file)
{
	char command[512];
	snprintf(command, sizeof(command), STATE "%s/%s", directory, file);
	assert_true(netns_do(command));
}

static void live(const char *text, void (*node)(int channel), int status)
{
	char command[128];
	struct err err = {""};
	struct net_start start, second;
	struct stat st;
	remember("before");
	struct net *n = start_net(text, "", &start, &err);
	if (!n)
		fail_msg("%s", err.text);
	snprintf(command, sizeof(command), "%s/run/control", directory);
	assert_int_equal(stat(command, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0660);
	/* A second one is told why not, and changes nothing of the first. */
	assert_null(start_net(text, "", &second, &err));
	assert_non_null(strstr(err.text, "another sojournd"));
	pid_t child = fork();
	if (child == 0) {
		net_forget(n);
		node(start.channel_fd);
	}
	close_start(&start);
	assert_int_equal(net_run(n, child), status);
	net_free(n);
	assert_int_equal(stat(command, &st), -1);
	remember("after");
	snprintf(command, sizeof(command), "cd %s && diff before after", directory);
	assert_true(netns_do(command));
}

static void test_life_of_terminal(void **state)
{
	(void)state;
	live(terminal_text, node_of_terminal, 0);
}

static void test_life_of_server(void **state)
{
	(void)state;
	live(server_text, node_of_server, 1);
}

/* What stands in the way is named, and left alone unless it is a dead socket. */
static void test_control_file(void **state)
{
	char path[128];
	struct err err = {""};
	struct net_start start;
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	(void)state;
	snprintf(path, sizeof(path), "%s/run/control", directory);
	FILE *f = fopen(path, "w");
	fclose(f);
	assert_null(start_net(terminal_text, "", &start, &err));
	assert_non_null(strstr(err.text, "a file is there"));
	assert_int_equal(access(path, F_OK), 0);
	unlink(path);
	strcpy(un.sun_path, path);
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&un, sizeof(un)), 0);
	close(fd);
	struct net *n = start_net(terminal_text, "control-mode = 0600\n", &start, &err);
	if (!n)
		fail_msg("%s", err.text);
	close_start(&start);
	net_free(n);
	assert_int_equal(access(path, F_OK), -1);
}

static int set_up(void **state)
{
	(void)state;
	return mkdtemp(directory) &&
		       netns_do("echo 0 > /proc/sys/net/ipv6/conf/default/accept_dad && "
				"ip link set lo up && ip link add left type veth peer name "
				"right && ip link set left up && ip link set right up && "
				"ip addr add 10.2.0.5/24 dev left && "
				"ip route add default via 10.2.0.1 dev left && "
				"echo 1 > /proc/sys/net/ipv4/conf/all/rp_filter")
		   ? 0
		   : -1;
}

static int tear_down(void **state)
{
	char command[128];
	(void)state;
	snprintf(command, sizeof(command), "rm -r %s", directory);
	return netns_do(command) ? 0 : -1;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_terminal_requests), cmocka_unit_test(test_server_requests),
	    cmocka_unit_test(test_assigned_requests), cmocka_unit_test(test_pool_requests),
	    cmocka_unit_test(test_told_home_agent),   cmocka_unit_test(test_life_of_terminal),
	    cmocka_unit_test(test_life_of_server),    cmocka_unit_test(test_control_file),
	};
	netns_enter();
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
