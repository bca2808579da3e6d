/* SPDX-License-Identifier: MIT */
/*
 * Changes to the system and how they are taken back.
 *
 * A list of entries, newest first; undoing walks it once.  An entry that is made again is in
 * the list once: it is found by a hash, since a home server has one for each of many terminals.  A
 * thing that vanished meanwhile (an interface was removed) is no error when it is taken back.
 *
 * Threads: the privileged process has one.
 */
#include "daemon/net_ledger.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "base/hash.h"
#include "base/mem.h"

enum ledger_kind { LEDGER_ADDR, LEDGER_ROUTE, LEDGER_RULE, LEDGER_PROXY, LEDGER_SYSCTL };

#define LEDGER_PATH_MAX 96

struct ledger_entry {
	enum ledger_kind kind;
	unsigned ifindex;
	struct addr addr;
	uint8_t len;
	bool prefix_route;
	struct rtnl_route route;
	struct rtnl_rule rule;
	char path[LEDGER_PATH_MAX];
	long value; /* before us */
	struct ledger_entry *next, *prev;
	struct hash_link by_thing;
};

struct ledger {
	struct rtnl *rtnl;
	const struct log *log;
	struct ledger_entry *first;
	struct hash things;
};

struct ledger *ledger_new(struct rtnl *rtnl, const struct log *log)
{
	struct ledger *l = mem_zalloc(sizeof(*l));
	*l = (struct ledger){.rtnl = rtnl, .log = log};
	return l;
}

void ledger_free(struct ledger *l)
{
	if (!l)
		return;
	for (struct ledger_entry *e = l->first, *next; e; e = next) {
		next = e->next;
		free(e);
	}
	hash_clear(&l->things);
	free(l);
}

/* --- the list */

static bool ledger_same_rule(const struct rtnl_rule *a, const struct rtnl_rule *b)
{
	return a->family == b->family && a->priority == b->priority && a->table == b->table &&
	       a->mark == b->mark && a->invert == b->invert &&
	       a->suppress_prefixlen == b->suppress_prefixlen;
}

static bool ledger_same(const struct ledger_entry *a, const struct ledger_entry *b)
{
	if (a->kind != b->kind)
		return false;
	switch (a->kind) {
	case LEDGER_ADDR:
	case LEDGER_PROXY:
		return a->ifindex == b->ifindex && addr_equal(&a->addr, &b->addr);
	case LEDGER_ROUTE: /* one route to a prefix: another gateway replaces it */
		return a->route.table == b->route.table &&
		       prefix_equal(&a->route.dst, &b->route.dst);
	case LEDGER_RULE:
		return ledger_same_rule(&a->rule, &b->rule);
	case LEDGER_SYSCTL:
		return strcmp(a->path, b->path) == 0;
	}
	return false;
}

static uint64_t ledger_hash(const struct ledger_entry *e)
{
	switch (e->kind) {
	case LEDGER_ADDR:
	case LEDGER_PROXY:
		return addr_hash(&e->addr) + e->kind;
	case LEDGER_ROUTE:
		return addr_hash(&e->route.dst.addr) + e->route.dst.len;
	case LEDGER_RULE:
		return e->rule.priority;
	case LEDGER_SYSCTL:
		return 0; /* few, at start */
	}
	return 0;
}

static struct ledger_entry *ledger_find(const struct ledger *l, const struct ledger_entry *like)
{
	struct hash_link *k = hash_find(&l->things, ledger_hash(like));
	for (; k; k = hash_next(k)) {
		struct ledger_entry *e = hash_owner(k, struct ledger_entry, by_thing);
		if (ledger_same(e, like))
			return e;
	}
	return NULL;
}

static void ledger_put(struct ledger *l, const struct ledger_entry *like)
{
	struct ledger_entry *e = mem_zalloc(sizeof(*e));
	*e = *like;
	e->by_thing = (struct hash_link){0};
	e->prev = NULL;
	e->next = l->first;
	if (e->next)
		e->next->prev = e;
	l->first = e;
	hash_add(&l->things, &e->by_thing, ledger_hash(e));
}

static void ledger_drop(struct ledger *l, struct ledger_entry *e)
{
	if (e->prev)
		e->prev->next = e->next;
	else
		l->first = e->next;
	if (e->next)
		e->next->prev = e->prev;
	hash_remove(&l->things, &e->by_thing);
	free(e);
}

/* --- sysctls */

int ledger_sysctl_get(const char *path, long *value)
{
	char name[LEDGER_PATH_MAX + 16], text[32];
	snprintf(name, sizeof(name), "/proc/sys/%s", path);
	int fd = open(name, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	ssize_t n = read(fd, text, sizeof(text) - 1);
	int error = errno;
	close(fd);
	if (n <= 0)
		return n < 0 ? -error : -EIO;
	text[n] = '\0';
	*value = strtol(text, NULL, 10);
	return 0;
}

static int ledger_sysctl_write(const char *path, long value)
{
	char name[LEDGER_PATH_MAX + 16], text[32];
	snprintf(name, sizeof(name), "/proc/sys/%s", path);
	int len = snprintf(text, sizeof(text), "%ld\n", value);
	int fd = open(name, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	int r = write(fd, text, (size_t)len) < 0 ? -errno : 0;
	close(fd);
	return r;
}

int ledger_sysctl_set(struct ledger *l, const char *path, long value, const char *why)
{
	struct ledger_entry like = {.kind = LEDGER_SYSCTL};
	if (strlen(path) >= sizeof(like.path))
		return -ENAMETOOLONG;
	strcpy(like.path, path);
	int r = ledger_sysctl_get(path, &like.value);
	if (r < 0 || like.value == value)
		return r;
	r = ledger_sysctl_write(path, value);
	if (r < 0) {
		log_warn(l->log, "net: sysctl_failed name=%s value=%ld error=\"%s\" why=\"%s\"",
			 path, value, strerror(-r), why);
		return r;
	}
	log_info(l->log, "net: sysctl name=%s from=%ld to=%ld why=\"%s\"", path, like.value, value,
		 why);
	if (!ledger_find(l, &like))
		ledger_put(l, &like);
	return 0;
}

/* --- making and taking back */

static int ledger_apply(struct ledger *l, bool on, const struct ledger_entry *e)
{
	switch (e->kind) {
	case LEDGER_ADDR:
		return rtnl_addr(l->rtnl, on, e->ifindex, &e->addr, e->len, e->prefix_route);
	case LEDGER_ROUTE:
		return rtnl_route(l->rtnl, on, &e->route);
	case LEDGER_RULE:
		return rtnl_rule(l->rtnl, on, &e->rule);
	case LEDGER_PROXY:
		return rtnl_proxy(l->rtnl, on, e->ifindex, &e->addr);
	case LEDGER_SYSCTL:
		return ledger_sysctl_write(e->path, e->value);
	}
	return -EINVAL;
}

/* It is not there any more: nothing to take back. */
static bool ledger_is_gone(int error)
{
	return error == -ENOENT || error == -ESRCH || error == -ENODEV || error == -EADDRNOTAVAIL ||
	       error == -ENXIO;
}

static int ledger_change(struct ledger *l, bool on, const struct ledger_entry *e)
{
	struct ledger_entry *had = ledger_find(l, e);
	if (!on) {
		if (!had)
			return -ENOENT;
		int r = ledger_apply(l, false, had);
		ledger_drop(l, had);
		return ledger_is_gone(r) ? 0 : r;
	}
	int r = ledger_apply(l, true, e);
	/* Ours already, or another's: either way it stays as it is.  But a rule with our
	 * priority and table was left by a process of ours that was killed. */
	if (r == -EEXIST && e->kind != LEDGER_RULE)
		return 0;
	if (r < 0 && r != -EEXIST)
		return r;
	if (had)
		ledger_drop(l, had);
	ledger_put(l, e);
	return 0;
}

void ledger_undo(struct ledger *l)
{
	while (l->first) {
		int r = ledger_apply(l, false, l->first);
		if (r < 0 && !ledger_is_gone(r))
			log_warn(l->log, "net: undo_failed kind=%d name=%s error=\"%s\"",
				 (int)l->first->kind, l->first->path, strerror(-r));
		ledger_drop(l, l->first);
	}
}

int ledger_addr(struct ledger *l, bool on, unsigned ifindex, const struct addr *addr, uint8_t len,
		bool prefix_route)
{
	struct ledger_entry e = {.kind = LEDGER_ADDR,
				 .ifindex = ifindex,
				 .addr = *addr,
				 .len = len,
				 .prefix_route = prefix_route};
	return ledger_change(l, on, &e);
}

int ledger_route(struct ledger *l, bool on, const struct rtnl_route *route)
{
	struct ledger_entry e = {.kind = LEDGER_ROUTE, .route = *route};
	return ledger_change(l, on, &e);
}

int ledger_rule(struct ledger *l, bool on, const struct rtnl_rule *rule)
{
	struct ledger_entry e = {.kind = LEDGER_RULE, .rule = *rule};
	return ledger_change(l, on, &e);
}

int ledger_proxy(struct ledger *l, bool on, unsigned ifindex, const struct addr *addr)
{
	struct ledger_entry e = {.kind = LEDGER_PROXY, .ifindex = ifindex, .addr = *addr};
	return ledger_change(l, on, &e);
}
