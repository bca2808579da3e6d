/* SPDX-License-Identifier: MIT */
/*
 * Many IKE SAs from one process: an initiator of as many terminals as it is told, for tests and
 * benchmarks of responders, ours and others'; without --to, a responder that is the engine alone.
 *
 * It is told what to do by lines on standard input and answers each with one line of JSON:
 *
 *	up [N]          sets up N further terminals (all that are left): how many, how long
 *	probe [N]       asks N of them (all), evenly spread, whether they are there
 *	echo ADDR [N]   sends an ICMP echo request through each one's child SA, waits for the
 *replies down [N]        deletes them stats           what is now quit            ends (as the end
 *of the input does), telling nobody
 *
 * Meanwhile it answers whatever the other side asks.  In "up" at most --in-flight setups are under
 * way; times are from the first message of a setup to the child SA.
 */
#include <errno.h>
#include <getopt.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#include "base/mem.h"
#include "load.h"

#define ROUND_LOOK_US (20 * (usec_t)USEC_PER_MS)

void load_die(const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	fputs("ike_load: ", stderr);
	vfprintf(stderr, fmt, ap);
	fputc('\n', stderr);
	va_end(ap);
	exit(1);
}

static void tell(json_t *o)
{
	char *text = json_dumps(o, JSON_COMPACT | JSON_PRESERVE_ORDER);
	puts(text);
	fflush(stdout);
	free(text);
	json_decref(o);
}

static json_t *seconds(usec_t us)
{
	return json_real((double)us / 1e6);
}

/* --- up */

static int by_size(const void *a, const void *b)
{
	const usec_t *x = a, *y = b;
	return (*x > *y) - (*x < *y);
}

static json_t *percentiles(const struct load *l, unsigned first)
{
	static const struct {
		const char *name;
		double at;
	} ranks[] = {{"p50_ms", 0.5}, {"p90_ms", 0.9}, {"p99_ms", 0.99}, {"max_ms", 1}};
	json_t *o = json_object();
	usec_t *took = mem_zalloc((l->begun - first + 1) * sizeof(*took));
	unsigned n = 0;
	for (unsigned i = first; i < l->begun; i++)
		if (l->terminals[i].state == TERMINAL_UP)
			took[n++] = l->terminals[i].took_us;
	qsort(took, n, sizeof(*took), by_size);
	for (unsigned i = 0; n && i < ARRAY_LEN(ranks); i++)
		json_object_set_new(
		    o, ranks[i].name,
		    json_real((double)took[(unsigned)((n - 1) * ranks[i].at)] / 1e3));
	free(took);
	return o;
}

static void do_up(struct load *l, unsigned n)
{
	unsigned first = l->begun, up = l->up, failed = l->failed, left = l->o.count - l->begun;
	usec_t since_us = clock_now_us();
	l->target = first + (n && n < left ? n : left);
	for (;;) {
		load_fleet_begin(l);
		usec_t next_us = load_fleet_tick(l);
		if (load_fleet_settled(l))
			break;
		load_net_turn(l->net, next_us);
	}
	json_t *o = json_object();
	json_object_set_new(o, "up", json_integer(l->up - up));
	json_object_set_new(o, "failed", json_integer(l->failed - failed));
	json_object_set_new(o, "seconds", seconds(clock_now_us() - since_us));
	json_object_set_new(o, "setup", percentiles(l, first));
	if (l->failed > failed)
		json_object_set_new(o, "why", json_string(l->last_why));
	tell(o);
}

/* --- rounds */

static void do_round(struct load *l, enum round_kind kind, const struct addr *target, unsigned n)
{
	struct round r;
	usec_t since_us = clock_now_us();
	load_round_begin(l, &r, kind, n);
	if (target)
		r.target = *target;
	while (load_round_go(l, &r)) {
		usec_t next_us = load_fleet_tick(l), look_us = clock_now_us() + ROUND_LOOK_US;
		load_net_turn(l->net, next_us < look_us ? next_us : look_us);
	}
	json_t *o = json_object();
	json_object_set_new(o, "asked", json_integer(r.count));
	json_object_set_new(o, "answered", json_integer(r.done));
	json_object_set_new(o, "seconds", seconds(clock_now_us() - since_us));
	load_round_end(&r);
	tell(o);
}

/* --- stats */

static void do_stats(const struct load *l)
{
	const struct ike_counters *c = ike_counters(l->engine);
	struct rusage u;
	json_t *o = json_object(), *counters = json_object();
	getrusage(RUSAGE_SELF, &u);
	json_object_set_new(o, "up", json_integer(l->up));
	json_object_set_new(o, "failed", json_integer(l->failed));
	json_object_set_new(o, "gone", json_integer(l->gone));
	json_object_set_new(o, "established",
			    json_integer((json_int_t)ike_count(l->engine, IKE_SA_ESTABLISHED)));
	json_object_set_new(o, "cpu_s",
			    json_real((double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
				      (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6));
	if (l->gone)
		json_object_set_new(o, "why", json_string(l->last_why));
#define COUNTER(name, text) json_object_set_new(counters, #name, json_integer((json_int_t)c->name));
	IKE_COUNTERS(COUNTER)
#undef COUNTER
	json_object_set_new(o, "counters", counters);
	tell(o);
}

/* --- commands */

/* False: quit. */
static bool do_command(struct load *l, char *line)
{
	char *save = NULL, *word = strtok_r(line, " ", &save);
	char *first = strtok_r(NULL, " ", &save), *second = strtok_r(NULL, " ", &save);
	unsigned n = first ? (unsigned)strtoul(first, NULL, 10) : 0;
	struct addr target;
	if (!word || !strcmp(word, "quit"))
		return false;
	if (!strcmp(word, "up")) {
		do_up(l, n);
	} else if (!strcmp(word, "probe")) {
		do_round(l, ROUND_PROBE, NULL, n);
	} else if (!strcmp(word, "down")) {
		do_round(l, ROUND_DELETE, NULL, n);
	} else if (!strcmp(word, "echo")) {
		if (!first || addr_parse(first, &target) || target.family != 4)
			load_die("echo: give it an IPv4 address");
		do_round(l, ROUND_ECHO, &target, second ? (unsigned)strtoul(second, NULL, 10) : 0);
	} else if (!strcmp(word, "stats")) {
		do_stats(l);
	} else {
		load_die("no such command: %s", word);
	}
	return true;
}

static void run(struct load *l)
{
	char buf[512];
	size_t have = 0;
	for (;;) {
		if (!load_net_turn(l->net, load_fleet_tick(l)))
			continue;
		ssize_t got = read(STDIN_FILENO, buf + have, sizeof(buf) - have - 1);
		if (got <= 0)
			return;
		have += (size_t)got;
		buf[have] = '\0';
		for (char *end; (end = memchr(buf, '\n', have));) {
			*end = '\0';
			if (!do_command(l, buf))
				return;
			have -= (size_t)(end + 1 - buf);
			memmove(buf, end + 1, have);
		}
		if (have == sizeof(buf) - 1)
			load_die("a command is too long");
	}
}

static _Noreturn void usage(void)
{
	fputs("usage: ike_load [--to ADDR --from PREFIX --count N] [--port N] [--to-port N]\n"
	      "                [--in-flight N] [--id FORMAT] [--server-id ID] [--secret TEXT]\n"
	      "                [--pki DIRECTORY] [--sojourn] [--verbose]\n",
	      stderr);
	exit(2);
}

static unsigned number_of(const char *text, unsigned max)
{
	char *end;
	unsigned long n = strtoul(text, &end, 10);
	if (*end || end == text || n > max)
		usage();
	return (unsigned)n;
}

/* The format is for one unsigned number. */
static bool id_is_good(const char *id)
{
	const char *at = strchr(id, '%');
	size_t digits = at ? strspn(at + 1, "0123456789") : 0;
	return at && at[1 + digits] == 'u' && !strchr(at + 1, '%') &&
	       strlen(id) + 16 < LOAD_NAME_MAX;
}

static void read_options(struct load *l, int argc, char **argv)
{
	static const struct option options[] = {
	    {"to", 1, NULL, 't'},   {"from", 1, NULL, 'f'},	 {"count", 1, NULL, 'n'},
	    {"port", 1, NULL, 'p'}, {"to-port", 1, NULL, 'P'},	 {"in-flight", 1, NULL, 'i'},
	    {"id", 1, NULL, 'I'},   {"server-id", 1, NULL, 's'}, {"secret", 1, NULL, 'k'},
	    {"pki", 1, NULL, 'c'},  {"sojourn", 0, NULL, 'j'},	 {"verbose", 0, NULL, 'v'},
	    {NULL, 0, NULL, 0},
	};
	struct load_options *o = &l->o;
	int c;
	*o = (struct load_options){.port = 4500,
				   .in_flight = 32,
				   .id = "t%05u@fleet.test",
				   .server_id = "vpn.fleet.test",
				   .secret = "only for tests and benchmarks"};
	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (c) {
		case 't':
			if (addr_parse(optarg, &o->to) || o->to.family != 4)
				usage();
			break;
		case 'f':
			if (prefix_parse(optarg, &o->from) || o->from.addr.family != 4)
				usage();
			break;
		case 'n':
			o->count = number_of(optarg, 10000000);
			break;
		case 'p':
			o->port = (uint16_t)number_of(optarg, UINT16_MAX);
			break;
		case 'P':
			o->to_port = (uint16_t)number_of(optarg, UINT16_MAX);
			break;
		case 'i':
			o->in_flight = number_of(optarg, 100000);
			break;
		case 'I':
			o->id = optarg;
			break;
		case 's':
			o->server_id = optarg;
			break;
		case 'k':
			o->secret = optarg;
			break;
		case 'c':
			o->pki = optarg;
			break;
		case 'j':
			o->sojourn = true;
			break;
		case 'v':
			l->log.level = LOG_LEVEL_DEBUG;
			break;
		default:
			usage();
		}
	}
	if (!o->to_port)
		o->to_port = o->port;
	if (optind != argc || !id_is_good(o->id) || !o->in_flight ||
	    (o->to.family && (!o->from.addr.family || !o->count)))
		usage();
}

int main(int argc, char **argv)
{
	static struct load l = {.log = {.level = LOG_LEVEL_ERROR, .write = log_write_stderr}};
	read_options(&l, argc, argv);
	load_fleet_open(&l);
	l.net = load_net_open(&l);
	puts("{\"ready\":true}");
	fflush(stdout);
	run(&l);
	load_fleet_close(&l);
	load_net_close(l.net);
	return 0;
}
