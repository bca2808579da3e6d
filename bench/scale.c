/* SPDX-License-Identifier: MIT */
/*
 * How large a home server can be: memory of a connection, time of a packet with one terminal and
 * with very many, changes of bindings while packets flow.
 *
 *	scale [--connections N] [--runs N] [--packets N] [--changes N] [--json FILE]
 */
#include <getopt.h>
#include <inttypes.h>
#include <malloc.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "base/mem.h"
#include "scale.h"

#define RUNS_MAX 32

struct options {
	uint32_t connections;
	unsigned runs;
	uint64_t packets, changes;
	const char *json;
};

/* --- figures */

struct memory {
	double rss, heap;
};

static struct memory memory_now(void)
{
	long pages = 0;
	FILE *in = fopen("/proc/self/statm", "r");
	if (!in || fscanf(in, "%*s %ld", &pages) != 1)
		die("/proc/self/statm cannot be read");
	fclose(in);
	struct mallinfo2 m = mallinfo2();
	return (struct memory){.rss = (double)pages * (double)sysconf(_SC_PAGESIZE),
			       .heap = (double)(m.uordblks + m.hblkhd)};
}

struct packet_times {
	double out_one, out_all, in_one, in_all;
};

static struct packet_times measure_packets(struct carrier *c, const struct options *o, uint32_t len)
{
	double list[4][RUNS_MAX];
	for (unsigned run = 0; run < o->runs; run++)
		for (unsigned i = 0; i < ARRAY_LEN(list); i++)
			list[i][run] = carrier_measure(c, i >= 2, i % 2 == 0, len, o->packets);
	return (struct packet_times){.out_one = median(list[0], o->runs),
				     .out_all = median(list[1], o->runs),
				     .in_one = median(list[2], o->runs),
				     .in_all = median(list[3], o->runs)};
}

static json_t *flow_json(const struct flow *w)
{
	return json_pack("{s:f,s:I,s:I,s:f}", "worst_ms", (double)w->worst_ns / 1e6, "over_1ms",
			 (json_int_t)w->over_1ms, "over_5ms", (json_int_t)w->over_5ms,
			 "packets_per_s", (double)(w->packets + w->in_packets) / w->seconds);
}

static void flow_print(const char *what, const struct flow *w)
{
	printf("  beside %-22s %8.3f ms worst batch, %" PRIu64 " over 1 ms, %.0f packets/s\n", what,
	       (double)w->worst_ns / 1e6, w->over_1ms,
	       (double)(w->packets + w->in_packets) / w->seconds);
}

/* --- the parts */

static void load(struct fleet *f, struct carrier *c, json_t *out)
{
	struct memory before = memory_now();
	uint64_t began = now_ns();
	for (uint32_t id = 0; id < f->count; id++) {
		fleet_add(f, id);
		rcu_quiescent_state();
	}
	double seconds = (double)(now_ns() - began) / 1e9;
	rcu_barrier();
	struct memory loaded = memory_now();
	carrier_touch(c);
	rcu_barrier();
	struct memory after = memory_now();
	double n = f->count, bytes = (after.rss - before.rss) / n;
	printf("%u connections, made in %.1f s\n", f->count, seconds);
	printf("  %.0f bytes each after a packet each way (before: %.0f; by malloc: %.0f)\n", bytes,
	       (loaded.rss - before.rss) / n, (after.heap - before.heap) / n);
	json_object_set_new(out, "connections", json_integer(f->count));
	json_object_set_new(out, "bytes_per_connection", json_real(bytes));
	json_object_set_new(out, "bytes_per_connection_idle",
			    json_real((loaded.rss - before.rss) / n));
	json_object_set_new(out, "connections_made_per_s", json_real(n / seconds));
}

static void packets(struct carrier *c, const struct options *o, json_t *out)
{
	static const uint32_t lens[] = {1400, 64};
	for (unsigned i = 0; i < ARRAY_LEN(lens); i++) {
		struct packet_times t = measure_packets(c, o, lens[i]);
		double one = (t.out_one + t.in_one) / 2, all = (t.out_all + t.in_all) / 2;
		printf("%u B: ns per packet, one terminal and %u at random\n", lens[i],
		       c->io.fleet->count);
		printf("  out %8.0f %8.0f  %5.2f times\n", t.out_one, t.out_all,
		       t.out_all / t.out_one);
		printf("  in  %8.0f %8.0f  %5.2f times\n", t.in_one, t.in_all, t.in_all / t.in_one);
		printf("  mean%8.0f %8.0f  %5.2f times\n", one, all, all / one);
		json_t *ways = json_pack("{s:f,s:f,s:f,s:f}", "out_1", t.out_one, "out_all",
					 t.out_all, "in_1", t.in_one, "in_all", t.in_all);
		json_object_set_new(out, i ? "ns_64_bytes" : "ns_1400_bytes", ways);
		if (i > 0)
			continue;
		json_object_set_new(out, "ns_per_packet_1", json_real(one));
		json_object_set_new(out, "ns_per_packet_all", json_real(all));
	}
}

static void second_connections(struct fleet *f, struct carrier *c, json_t *worst)
{
	carrier_flow_begin(c);
	for (uint32_t id = 0; id < f->count; id++) {
		fleet_add_conn(f, id, 1);
		rcu_quiescent_state();
	}
	struct flow w = carrier_flow_end(c);
	flow_print("connections made", &w);
	json_object_set_new(worst, "connections_made", flow_json(&w));
}

static void nothing(struct carrier *c, json_t *worst)
{
	carrier_flow_begin(c);
	rcu_thread_offline();
	sleep(1);
	rcu_thread_online();
	struct flow w = carrier_flow_end(c);
	flow_print("nothing", &w);
	json_object_set_new(worst, "nothing", flow_json(&w));
}

struct work {
	const char *key, *rate_key, *text;
	double (*run)(struct fleet *f, uint64_t count, uint64_t *random);
	uint64_t count;
};

static double run_registrations(struct fleet *f, uint64_t count, uint64_t *random)
{
	return moves_registrations(f, (uint32_t)count, random);
}

static double run_reload(struct fleet *f, uint64_t count, uint64_t *random)
{
	return moves_reload(f, (uint32_t)count, random);
}

static double one_work(struct fleet *f, struct carrier *c, const struct options *o,
		       const struct work *work, json_t *out, json_t *worst)
{
	double rates[RUNS_MAX];
	struct flow most = {0};
	uint64_t random = 7;
	for (unsigned run = 0; run < o->runs; run++) {
		carrier_flow_begin(c);
		rates[run] = work->run(f, work->count, &random);
		struct flow w = carrier_flow_end(c);
		if (w.worst_ns >= most.worst_ns)
			most = w;
	}
	double rate = median(rates, o->runs);
	flow_print(work->text, &most);
	json_object_set_new(worst, work->key, flow_json(&most));
	json_object_set_new(out, work->rate_key, json_real(rate));
	printf("  %-29s %8.0f a second\n", work->text, rate);
	return (double)most.worst_ns / 1e6;
}

static void control(struct fleet *f, struct carrier *c, const struct options *o, json_t *out)
{
	const struct work works[] = {
	    {"binding_changes", "binding_changes_per_s", "binding changes", moves_bindings,
	     o->changes},
	    {"registrations", "registrations_per_s", "registrations", run_registrations,
	     o->changes / 10},
	    {"reload", "terminals_replaced_per_s", "terminals replaced", run_reload,
	     o->changes / 20},
	};
	json_t *worst = json_object();
	double most = 0;
	printf("control, while packets flow\n");
	second_connections(f, c, worst);
	nothing(c, worst);
	for (unsigned i = 0; i < ARRAY_LEN(works); i++) {
		double ms = one_work(f, c, o, &works[i], out, worst);
		most = ms > most ? ms : most;
	}
	json_object_set_new(out, "worst_packet_ms", json_real(most));
	json_object_set_new(out, "beside", worst);
	json_object_set_new(out, "warnings", json_integer((json_int_t)f->warnings));
}

/* --- options */

static struct options options_read(int argc, char **argv)
{
	static const struct option longs[] = {{"connections", required_argument, NULL, 'c'},
					      {"runs", required_argument, NULL, 'r'},
					      {"packets", required_argument, NULL, 'p'},
					      {"changes", required_argument, NULL, 'm'},
					      {"json", required_argument, NULL, 'j'},
					      {0}};
	struct options o = {
	    .connections = 1000000, .runs = 5, .packets = 262144, .changes = 500000};
	for (int c; (c = getopt_long(argc, argv, "", longs, NULL)) != -1;) {
		switch (c) {
		case 'c':
			o.connections = (uint32_t)number(optarg);
			break;
		case 'r':
			o.runs = (unsigned)number(optarg);
			break;
		case 'p':
			o.packets = number(optarg);
			break;
		case 'm':
			o.changes = number(optarg);
			break;
		case 'j':
			o.json = optarg;
			break;
		default:
			exit(2);
		}
	}
	if (o.runs > RUNS_MAX || o.connections > 1u << 20 || o.changes < 20)
		die("at most %u runs and %u connections, at least 20 changes", RUNS_MAX, 1u << 20);
	return o;
}

int main(int argc, char **argv)
{
	struct options o = options_read(argc, argv);
	struct fleet *f = mem_zalloc(sizeof *f);
	struct carrier *c = mem_zalloc(sizeof *c);
	json_t *out = json_object();
	setvbuf(stdout, NULL, _IOLBF, 0);
	pin_to(0);
	rcu_register_thread();
	struct fwd_io io = carrier_io(c);
	fleet_init(f, o.connections, &io);
	carrier_start(c, f);
	load(f, c, out);
	packets(c, &o, out);
	control(f, c, &o, out);
	/* What was sealed before its binding changed comes on a connection that is not active. */
	const struct fwd_event *e;
	while ((e = fwd_event_next(f->node.fwd)) && e->kind == FWD_EV_DATA)
		fwd_event_done(f->node.fwd);
	if (e)
		die("the packet path has something to tell that it should not have");
	carrier_stop(c);
	fleet_free(f);
	rcu_unregister_thread();
	if (o.json && json_dump_file(out, o.json, JSON_INDENT(1) | JSON_REAL_PRECISION(6)) != 0)
		die("%s cannot be written", o.json);
	json_decref(out);
	free(c);
	free(f);
	return 0;
}
