/* SPDX-License-Identifier: MIT */
/*
 * The privileged process.
 *
 * Before the fork net_new makes what needs root at start (net_setup, net_control).  After it the
 * parent is in net_run: one loop that answers the node's requests, each first checked against
 * the configuration (net_check) and then done and booked (net_ledger), repeats announcements,
 * reloads the configuration and looks after the node's life.  net_free takes everything away.
 *
 * Reload: both processes must read the same, and the node can open nothing.  So the text and the
 * files it names are read once, checked here, and passed on in a memory file.  Until the node says
 * that it took it over, a request is allowed when either configuration covers it.
 *
 * A request to take away is allowed exactly when the ledger has what it names.
 */
#include "daemon/net.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "base/mem.h"
#include "daemon/net_check.h"
#include "daemon/net_control.h"
#include "daemon/net_lookup.h"
#include "daemon/net_resolv.h"
#include "daemon/net_setup.h"
#include "platform/announce.h"
#include "platform/netreq.h"
#include "platform/priv.h"
#include "platform/sock.h"

#define NET_STOP_WAIT_US    (2 * (usec_t)USEC_PER_SEC)
#define NET_SEND_TIMEOUT_S  2
#define NET_CHANNEL_LEN	    (1 << 20)
#define NET_ANNOUNCES_MAX   256
#define NET_REFUSALS_LOGGED 10 /* a second */

/* Copies of an announcement still to be sent. */
struct net_announce {
	unsigned ifindex;
	struct addr addr;
	unsigned left;
	usec_t at_us;
};

struct net {
	const struct log *log;
	struct config *cfg;  /* owned */
	struct config *next; /* owned: the node is taking it over */
	char *control_path;
	unsigned tun_ifindex;
	int channel; /* our end */
	struct rtnl *rtnl;
	struct ledger *ledger;
	struct loop *loop;
	struct loop_fd *channel_watch;
	struct loop_timer *kill_timer, *announce_timer;
	struct net_lookup *lookup; /* NULL: no server has a name */
	bool resolv;		   /* there is a file of name servers */
	struct net_announce announces[NET_ANNOUNCES_MAX];
	unsigned announce_count;
	struct log_limit refusals;
	pid_t node;
	bool stopping; /* asked to */
	int status;
};

/* --- announcements */

static void net_announce_due(void *ctx)
{
	struct net *n = ctx;
	usec_t now = clock_now_us(), next = USEC_NEVER;
	unsigned kept = 0;
	for (unsigned i = 0; i < n->announce_count; i++) {
		struct net_announce a = n->announces[i];
		if (a.at_us <= now) {
			if (announce_address(a.ifindex, &a.addr) < 0)
				a.left = 1; /* its interface is gone: no more */
			a.at_us = now + ANNOUNCE_INTERVAL_MS * (usec_t)USEC_PER_MS;
			a.left--;
		}
		if (a.left == 0)
			continue;
		next = a.at_us < next ? a.at_us : next;
		n->announces[kept++] = a;
	}
	n->announce_count = kept;
	loop_timer_at(n->announce_timer, next);
}

static void net_announce_stop(struct net *n, const struct addr *addr)
{
	unsigned kept = 0;
	for (unsigned i = 0; i < n->announce_count; i++)
		if (!addr_equal(&n->announces[i].addr, addr))
			n->announces[kept++] = n->announces[i];
	n->announce_count = kept;
}

/* The first copy at once, the others by the timer; with too many waiting, the first only. */
static int net_announce_start(struct net *n, unsigned ifindex, const struct addr *addr)
{
	net_announce_stop(n, addr);
	int r = announce_address(ifindex, addr);
	if (r < 0 || n->announce_count == NET_ANNOUNCES_MAX)
		return r;
	n->announces[n->announce_count++] = (struct net_announce){
	    .ifindex = ifindex,
	    .addr = *addr,
	    .left = ANNOUNCE_COPIES - 1,
	    .at_us = clock_now_us() + ANNOUNCE_INTERVAL_MS * (usec_t)USEC_PER_MS};
	net_announce_due(n);
	return 0;
}

/* --- requests */

static unsigned net_ifindex(const struct net *n, const char *interface)
{
	return interface[0] ? if_nametoindex(interface) : n->tun_ifindex;
}

static int net_do_sock(struct net *n, const struct netreq *req, int *fd, struct err *err)
{
	/* One for each packet thread: a home server asks as often. */
	bool shared = req->udp && n->cfg->role == ROLE_HOME_SERVER && n->cfg->workers > 1;
	*fd = packet_socket_open(req, n->cfg->mark, n->cfg->df, shared, err);
	/* A terminal may speak from any port, as behind a NAT: better than not at all while
	 * another program has ours, or a socket of before is not closed yet. */
	if (*fd == -EADDRINUSE && n->cfg->role == ROLE_TERMINAL && req->local.port) {
		struct netreq any_port = *req;
		any_port.local.port = 0;
		log_warn(n->log, "net: port_taken port=%u interface=%s action=\"any port\"",
			 req->local.port, req->interface);
		*fd = packet_socket_open(&any_port, n->cfg->mark, n->cfg->df, false, err);
	}
	if (*fd < 0)
		return *fd;
	if (req->interface[0])
		net_setup_loose(n->ledger, req->interface);
	return 0;
}

static int net_do_home_addr(struct net *n, const struct netreq *req)
{
	unsigned ifindex = net_ifindex(n, req->interface);
	bool at_home = req->interface[0] != '\0';
	uint8_t len = req->prefix.len;
	/* At home it takes the home link's length; with a prefix route, as that link's hosts
	 * have. */
	if (at_home && n->cfg->has_home && n->cfg->home_prefix.len &&
	    n->cfg->home_prefix.addr.family == req->prefix.addr.family)
		len = n->cfg->home_prefix.len;
	if (ifindex == 0)
		return -ENODEV;
	return ledger_addr(n->ledger, req->on, ifindex, &req->prefix.addr, len, at_home);
}

static int net_do_route(struct net *n, const struct netreq *req)
{
	struct rtnl_route route = {.dst = req->prefix,
				   .gateway = req->gateway,
				   .source = req->addr,
				   .ifindex = net_ifindex(n, req->interface),
				   .table = n->cfg->table};
	if (req->on && route.ifindex == 0)
		return -ENODEV;
	return ledger_route(n->ledger, req->on, &route);
}

static int net_do_proxy(struct net *n, const struct netreq *req)
{
	unsigned ifindex = if_nametoindex(n->cfg->home_link);
	if (ifindex == 0)
		return -ENODEV;
	int r = ledger_proxy(n->ledger, req->on, ifindex, &req->addr);
	if (r < 0 || !req->on) {
		net_announce_stop(n, &req->addr);
		return r;
	}
	return net_announce_start(n, ifindex, &req->addr);
}

static int net_do_announce(struct net *n, const struct netreq *req)
{
	unsigned ifindex = if_nametoindex(req->interface);
	return ifindex ? net_announce_start(n, ifindex, &req->addr) : -ENODEV;
}

static int net_do_resolve(struct net *n, const struct netreq *req)
{
	return req->ifindex == n->tun_ifindex ? -EINVAL
					      : rtnl_resolve(n->rtnl, req->ifindex, &req->addr);
}

static int net_do_lookup(struct net *n, const struct netreq *req, struct err *err)
{
	if (n->lookup)
		return net_lookup_ask(n->lookup, req, n->cfg->mark);
	err_set(err, "names were not looked up when sojournd started: restart it");
	return -ENOSYS;
}

static int net_do_resolvconf(struct net *n, const struct netreq *req)
{
	if (!req->on && !n->resolv)
		return -ENOENT;
	int r = net_resolv_write(n->cfg, req->addrs, req->on ? req->addr_count : 0);
	if (r == 0)
		n->resolv = req->on;
	return r;
}

/* --- reload */

/* A memory file to be written and passed on: its fd, and a stream that writes to it; or -1. */
static int net_open_bundle(FILE **out, struct err *err)
{
	int fd = memfd_create("sojourn.conf", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	int copy = fd >= 0 ? fcntl(fd, F_DUPFD_CLOEXEC, 0) : -1;
	*out = copy >= 0 ? fdopen(copy, "w") : NULL;
	if (*out) {
		setvbuf(*out, NULL, _IONBF, 0); /* keys */
		return fd;
	}
	err_set(err, "no memory for a copy of the configuration: %s", strerror(errno));
	if (copy >= 0)
		close(copy);
	if (fd >= 0)
		close(fd);
	return -1;
}

static struct config *net_load(const struct config *present, FILE *out, struct err *err)
{
	struct config *cfg = config_load_bundle(present->path, out, err);
	const char *fixed = cfg ? config_fixed_difference(present, cfg) : NULL;
	if (fixed) {
		err_set(err, "%s: a reload cannot change `%s`; restart sojournd instead",
			present->path, fixed);
		config_free(cfg);
		return NULL;
	}
	return cfg;
}

/* Nobody writes any more, and whoever reads begins at the beginning. */
static int net_seal(int fd, struct err *err)
{
	if (lseek(fd, 0, SEEK_SET) < 0 ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) < 0)
		return err_set(err, "no memory for a copy of the configuration: %s",
			       strerror(errno));
	return 0;
}

/* The memory file to send in *fd, and n->next; or -1 with err. */
static int net_prepare_reload(struct net *n, int *fd, struct err *err)
{
	FILE *out;
	*fd = -1;
	if (n->next)
		return err_set(err, "%s: a reload is under way; try again", n->cfg->path);
	int bundle = net_open_bundle(&out, err);
	if (bundle >= 0) {
		n->next = net_load(n->cfg, out, err);
		fclose(out);
	}
	if (n->next && net_seal(bundle, err) == 0) {
		*fd = bundle;
		return 0;
	}
	config_free(n->next);
	n->next = NULL;
	if (bundle >= 0)
		close(bundle);
	log_error(n->log, "net: reload_refused why=\"%s\"", err->text);
	return -1;
}

static void net_send_reload(struct net *n, int fd)
{
	struct netreq m = {.kind = NETREQ_RELOAD};
	int r = netreq_write(n->channel, &m, fd);
	close(fd);
	if (r < 0) {
		config_free(n->next);
		n->next = NULL;
	}
}

static void net_end_reload(struct net *n, const struct netreq *req)
{
	if (!n->next)
		return;
	if (req->result == 0) {
		config_free(n->cfg);
		n->cfg = n->next;
		log_info(n->log, "net: reloaded path=%s", n->cfg->path);
	} else {
		config_free(n->next);
		log_error(n->log, "net: reload_refused by=node error=\"%s\" why=\"%s\"",
			  strerror(-req->result), req->text);
	}
	n->next = NULL;
}

/* --- the node's messages */

static const char *const net_kind_texts[] = {
    [NETREQ_SOCK] = "socket",
    [NETREQ_HOME_ADDR] = "home-address",
    [NETREQ_ROUTE] = "route",
    [NETREQ_PROXY] = "proxy",
    [NETREQ_ANNOUNCE] = "announce",
    [NETREQ_RESOLVE] = "resolve",
    [NETREQ_TUN_MTU] = "tun-mtu",
    [NETREQ_LOOKUP] = "lookup",
    [NETREQ_RESOLVCONF] = "resolvconf",
    [NETREQ_RELOAD] = "reload",
    [NETREQ_STOP] = "stop",
    [NETREQ_RELOAD_PLEASE] = "reload-please",
    [NETREQ_RELOAD_DONE] = "reload-done",
};

/* Taking away needs no leave: the ledger knows what there is. */
static bool net_takes_away(const struct netreq *req)
{
	return !req->on && (req->kind == NETREQ_HOME_ADDR || req->kind == NETREQ_ROUTE ||
			    req->kind == NETREQ_PROXY || req->kind == NETREQ_RESOLVCONF);
}

static const char *net_refusal(const struct net *n, const struct netreq *req)
{
	if (net_takes_away(req))
		return NULL;
	const char *why = net_check(n->cfg, req);
	return why && n->next ? net_check(n->next, req) : why;
}

static int net_do(struct net *n, const struct netreq *req, int *fd, struct err *err)
{
	switch (req->kind) {
	case NETREQ_SOCK:
		return net_do_sock(n, req, fd, err);
	case NETREQ_HOME_ADDR:
		return net_do_home_addr(n, req);
	case NETREQ_ROUTE:
		return net_do_route(n, req);
	case NETREQ_PROXY:
		return net_do_proxy(n, req);
	case NETREQ_ANNOUNCE:
		return net_do_announce(n, req);
	case NETREQ_RESOLVE:
		return net_do_resolve(n, req);
	case NETREQ_TUN_MTU:
		return net_setup_tun_mtu(n->cfg, n->rtnl, n->tun_ifindex, req->value);
	case NETREQ_LOOKUP:
		return net_do_lookup(n, req, err);
	case NETREQ_RESOLVCONF:
		return net_do_resolvconf(n, req);
	case NETREQ_RELOAD_PLEASE:
		return net_prepare_reload(n, fd, err) < 0 ? -EINVAL : 0;
	case NETREQ_RELOAD_DONE:
		net_end_reload(n, req);
		return 0;
	case NETREQ_RELOAD:
	case NETREQ_STOP:
		break;
	}
	return -EPERM;
}

static void net_stop_node(struct net *n)
{
	struct netreq stop = {.kind = NETREQ_STOP};
	(void)netreq_write(n->channel, &stop, -1);
	loop_timer_at(n->kill_timer, clock_now_us() + NET_STOP_WAIT_US);
}

static void net_channel_broken(struct net *n, int error)
{
	if (error != -EPIPE)
		log_error(n->log, "net: channel_broken error=\"%s\" action=\"stopping\"",
			  strerror(-error));
	loop_fd_remove(n->channel_watch);
	n->channel_watch = NULL;
	loop_timer_at(n->kill_timer, clock_now_us() + NET_STOP_WAIT_US);
}

/* Does what was asked and fills in the reply; *fd goes with it (or with RELOAD after it). */
static void net_answer(struct net *n, struct netreq *m, int *fd)
{
	struct err err = {""};
	const char *refusal = net_refusal(n, m);
	if (refusal) {
		m->result = -EPERM;
		snprintf(m->text, sizeof(m->text), "refused: %s", refusal);
		if (log_limit_ok(&n->refusals, clock_now_us(), NET_REFUSALS_LOGGED))
			log_warn(n->log, "net: refused request=%s interface=%s why=\"%s\"",
				 net_kind_texts[m->kind], m->interface, refusal);
		return;
	}
	bool told = m->kind == NETREQ_RELOAD_DONE; /* its result is the node's own */
	int r = net_do(n, m, fd, &err);
	m->result = told ? 0 : r;
	m->text[0] = '\0';
	if (r < 0)
		snprintf(m->text, sizeof(m->text), "%.159s", err.text[0] ? err.text : strerror(-r));
	if (r < 0 && log_limit_ok(&n->refusals, clock_now_us(), NET_REFUSALS_LOGGED))
		log_warn(n->log, "net: failed request=%s on=%d interface=%s error=\"%s\"",
			 net_kind_texts[m->kind], m->on, m->interface, m->text);
}

static void net_channel_ready(void *ctx, bool readable, bool writable)
{
	struct net *n = ctx;
	struct netreq m;
	int fd;
	(void)readable;
	(void)writable;
	int r = netreq_read(n->channel, &m, &fd);
	if (r == -EAGAIN)
		return;
	if (r < 0) {
		net_channel_broken(n, r);
		return;
	}
	if (fd >= 0) /* the node has nothing to give us */
		close(fd);
	fd = -1;
	net_answer(n, &m, &fd);
	if (m.kind == NETREQ_LOOKUP && m.result == 0)
		return; /* the reply comes when it is found */
	bool reload = m.kind == NETREQ_RELOAD_PLEASE && fd >= 0;
	r = netreq_write(n->channel, &m, reload ? -1 : fd);
	if (reload)
		net_send_reload(n, fd);
	else if (fd >= 0)
		close(fd);
	if (r < 0)
		net_channel_broken(n, r);
}

static void net_looked_up(void *ctx, struct netreq *reply)
{
	struct net *n = ctx;
	if (reply->result < 0)
		log_warn(n->log, "net: lookup_failed name=%s error=\"%s\"", reply->name,
			 reply->text);
	int r = n->channel_watch ? netreq_write(n->channel, reply, -1) : 0;
	if (r < 0)
		net_channel_broken(n, r);
}

/* --- signals */

static void net_node_ended(struct net *n, int wait_status)
{
	bool clean = WIFEXITED(wait_status) && WEXITSTATUS(wait_status) == 0;
	n->node = 0;
	if (n->stopping && clean)
		n->status = 0;
	else if (WIFSIGNALED(wait_status))
		log_error(n->log, "net: node_died signal=%d (%s)%s", WTERMSIG(wait_status),
			  strsignal(WTERMSIG(wait_status)),
			  WTERMSIG(wait_status) == SIGSYS
			      ? " what=\"a system call outside the seccomp filter\""
			      : "");
	else
		log_error(n->log, "net: node_ended status=%d", WEXITSTATUS(wait_status));
	loop_stop(n->loop);
}

static void net_sigchld(void *ctx, int signo)
{
	struct net *n = ctx;
	int status;
	(void)signo;
	if (n->node > 0 && waitpid(n->node, &status, WNOHANG) == n->node)
		net_node_ended(n, status);
}

static void net_sigterm(void *ctx, int signo)
{
	struct net *n = ctx;
	if (n->stopping)
		return;
	log_info(n->log, "net: stopping signal=%d", signo);
	n->stopping = true;
	net_stop_node(n);
}

static void net_sighup(void *ctx, int signo)
{
	struct net *n = ctx;
	struct err err = {""};
	int fd = -1;
	(void)signo;
	if (net_prepare_reload(n, &fd, &err) == 0)
		net_send_reload(n, fd);
}

static void net_kill_due(void *ctx)
{
	struct net *n = ctx;
	if (n->node <= 0)
		return;
	log_warn(n->log, "net: node_killed pid=%d why=\"it did not end in time\"", (int)n->node);
	kill(n->node, SIGKILL);
}

/* --- from new to free */

static int net_open_channel(struct net *n, struct net_start *start, struct err *err)
{
	int fds[2];
	int len = NET_CHANNEL_LEN;
	struct timeval timeout = {.tv_sec = NET_SEND_TIMEOUT_S};
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) < 0)
		return err_set(err, "channel between the processes: %s", strerror(errno));
	n->channel = fds[0];
	start->channel_fd = fds[1];
	(void)setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &len, sizeof(len));
	(void)setsockopt(fds[1], SOL_SOCKET, SO_SNDBUF, &len, sizeof(len));
	/* A node that stopped reading must not hold us for ever. */
	(void)setsockopt(fds[0], SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout));
	return 0;
}

struct net *net_new(struct config *cfg, const struct log *log, struct net_start *start,
		    struct err *err)
{
	struct net *n = mem_zalloc(sizeof(*n));
	*n = (struct net){.log = log, .cfg = cfg, .channel = -1, .status = 1};
	*start = (struct net_start){.control_fd = -1, .channel_fd = -1};
	n->rtnl = rtnl_new(err);
	if (!n->rtnl)
		goto fail;
	n->ledger = ledger_new(n->rtnl, log);
	if (net_setup_root(cfg, err) < 0)
		goto fail;
	/* First: it tells that another one runs before anything is changed. */
	start->control_fd = net_control_open(cfg, err);
	if (start->control_fd < 0)
		goto fail;
	n->control_path = mem_strdup(cfg->control);
	start->tun_mtu = net_setup_first_mtu(cfg);
	if (net_setup_tun(cfg, n->rtnl, n->ledger, &start->tun, &n->tun_ifindex, err) < 0 ||
	    net_setup_rules(cfg, n->ledger, log, err) < 0 || net_open_channel(n, start, err) < 0)
		goto fail;
	if (cfg->role == ROLE_TERMINAL && cfg->ike) {
		n->lookup = net_lookup_new(cfg, err);
		if (!n->lookup)
			goto fail;
	}
	if (cfg->role == ROLE_HOME_SERVER && net_setup_forwarding(cfg, n->ledger, log, err) < 0)
		goto fail;
	if (cfg->role == ROLE_HOME_SERVER && !cfg->home_link[0])
		net_setup_agents(cfg, n->ledger, log, n->tun_ifindex);
	net_setup_loose(n->ledger, cfg->tun);
	return n;
fail:
	tun_close(&start->tun);
	if (start->control_fd >= 0)
		close(start->control_fd);
	if (start->channel_fd >= 0)
		close(start->channel_fd);
	n->cfg = NULL; /* the caller's still */
	net_free(n);
	return NULL;
}

static int net_start_loop(struct net *n, struct err *err)
{
	n->loop = loop_new();
	if (!n->loop)
		return err_set(err, "event loop: %s", strerror(errno));
	n->kill_timer = loop_timer_new(n->loop, net_kill_due, n);
	n->announce_timer = loop_timer_new(n->loop, net_announce_due, n);
	n->channel_watch = loop_fd_add(n->loop, n->channel, net_channel_ready, n);
	if (!n->kill_timer || !n->announce_timer || !n->channel_watch ||
	    loop_signal(n->loop, SIGCHLD, net_sigchld, n) < 0 ||
	    loop_signal(n->loop, SIGTERM, net_sigterm, n) < 0 ||
	    loop_signal(n->loop, SIGINT, net_sigterm, n) < 0 ||
	    loop_signal(n->loop, SIGHUP, net_sighup, n) < 0)
		return err_set(err, "event loop: no room");
	if (n->lookup && net_lookup_watch(n->lookup, n->loop, net_looked_up, n) < 0)
		return err_set(err, "event loop: no room");
	return priv_enter_net(err);
}

int net_run(struct net *n, int node_pid)
{
	struct err err = {""};
	n->node = node_pid;
	if (net_start_loop(n, &err) < 0) {
		log_error(n->log, "net: %s", err.text);
		kill(n->node, SIGKILL);
		(void)waitpid(n->node, NULL, 0);
		return 1;
	}
	net_sigchld(n, SIGCHLD); /* it may have ended before we listened */
	if (n->node > 0)
		(void)loop_run(n->loop);
	return n->status;
}

static void net_release(struct net *n, bool forget)
{
	net_lookup_free(n->lookup, forget);
	if (n->loop) {
		loop_fd_remove(n->channel_watch);
		loop_timer_free(n->kill_timer);
		loop_timer_free(n->announce_timer);
		loop_free(n->loop);
	}
	if (n->channel >= 0)
		close(n->channel);
	ledger_free(n->ledger);
	rtnl_free(n->rtnl);
	free(n->control_path);
	free(n);
}

void net_free(struct net *n)
{
	if (!n)
		return;
	if (n->ledger)
		ledger_undo(n->ledger);
	if (n->resolv && net_resolv_write(n->cfg, NULL, 0) < 0)
		log_warn(n->log, "net: undo_failed name=resolv.conf");
	if (n->control_path)
		net_control_remove(n->control_path);
	config_free(n->next);
	config_free(n->cfg);
	net_release(n, false);
}

void net_forget(struct net *n)
{
	net_release(n, true);
}
