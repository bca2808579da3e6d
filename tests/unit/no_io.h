/* SPDX-License-Identifier: MIT */
/* The I/O of a packet path that no packet crosses: nothing comes in, all that goes out is taken. */
#ifndef TESTS_UNIT_NO_IO_H
#define TESTS_UNIT_NO_IO_H

#include "forward/fwd.h"

static int no_read(void *ctx, struct fwd_frame *frames, int n)
{
	(void)ctx;
	(void)frames;
	(void)n;
	return 0;
}

static int no_write(void *ctx, struct fwd_write *writes, int n)
{
	(void)ctx;
	(void)writes;
	return n;
}

static int no_recv(void *ctx, uint16_t sock, struct fwd_dgram *dgrams, int n)
{
	(void)ctx;
	(void)sock;
	(void)dgrams;
	(void)n;
	return 0;
}

static int no_send(void *ctx, struct fwd_send *sends, int n)
{
	(void)ctx;
	(void)sends;
	return n;
}

static const struct fwd_io no_io = {
    .tun_read = no_read,
    .tun_write = no_write,
    .recv = no_recv,
    .send = no_send,
};

#endif
