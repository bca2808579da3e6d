/* SPDX-License-Identifier: MIT */
/*
 * The TUN device (Documentation/networking/tuntap.rst).
 *
 * IFF_VNET_HDR puts a struct virtio_net_hdr before each packet both ways, always of 10 bytes.
 * With TUN_F_TSO4 and TUN_F_TSO6 the kernel hands us TCP segments of up to 64 KiB uncut, with
 * TUN_F_USO4 and TUN_F_USO6 (Linux 6.2) UDP ones too; they need TUN_F_CSUM.
 */
#include "platform/tun.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <stddef.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#ifndef TUN_F_USO4
#define TUN_F_USO4 0x20
#define TUN_F_USO6 0x40
#endif

#define BUSY_WAIT_MS  2000u
#define BUSY_PAUSE_MS 20u

static int tun_set_offload(int fd, bool *udp)
{
	static const unsigned wishes[] = {
	    TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN | TUN_F_USO4 | TUN_F_USO6,
	    TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN,
	    TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6,
	};
	for (size_t i = 0; i < sizeof(wishes) / sizeof(wishes[0]); i++) {
		if (ioctl(fd, TUNSETOFFLOAD, (unsigned long)wishes[i]) == 0) {
			*udp = wishes[i] & TUN_F_USO4;
			return 0;
		}
	}
	return -errno;
}

/* One that is just ending may still have the device. */
static int tun_attach(int fd, struct ifreq *ifr)
{
	const struct timespec pause = {.tv_nsec = BUSY_PAUSE_MS * 1000000l};
	for (unsigned waited_ms = 0;; waited_ms += BUSY_PAUSE_MS) {
		if (ioctl(fd, TUNSETIFF, ifr) == 0)
			return 0;
		if (errno != EBUSY || waited_ms >= BUSY_WAIT_MS)
			return -1;
		nanosleep(&pause, NULL);
	}
}

/* One queue; the first makes the device. */
static int tun_open_queue(struct ifreq *ifr, bool offload, bool *udp, struct err *err)
{
	int header_len = (int)sizeof(struct virtio_net_hdr);
	const char *name = ifr->ifr_name;
	int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return err_set(err, "/dev/net/tun: %s; load the tun module (modprobe tun)",
			       strerror(errno));
	if (tun_attach(fd, ifr) < 0) {
		err_set(err, "TUN device %s: %s; %s", name, strerror(errno),
			errno == EBUSY	 ? "another program has it: stop that or set another `tun`"
			: errno == EPERM ? "start as root"
					 : "is the name another interface's?");
		goto fail;
	}
	if (ioctl(fd, TUNSETVNETHDRSZ, &header_len) < 0) {
		err_set(err, "TUN device %s: header size: %s", name, strerror(errno));
		goto fail;
	}
	if (offload && tun_set_offload(fd, udp) < 0) {
		err_set(err, "TUN device %s: offload: %s; set `offload = no`", name,
			strerror(errno));
		goto fail;
	}
	return fd;
fail:
	close(fd);
	return -1;
}

int tun_open(const char *name, bool offload, unsigned queues, struct tun *out, struct err *err)
{
	struct ifreq ifr = {.ifr_flags = IFF_TUN | IFF_NO_PI | IFF_VNET_HDR};
	*out = (struct tun){.udp = false};
	if (queues < 1 || queues > TUN_QUEUES_MAX)
		return err_set(err, "TUN device %s: 1 to %d queues, not %u", name, TUN_QUEUES_MAX,
			       queues);
	if (strlen(name) >= sizeof(ifr.ifr_name))
		return err_set(err, "TUN device name %s is too long; at most %zu letters", name,
			       sizeof(ifr.ifr_name) - 1);
	strncpy(ifr.ifr_name, name, sizeof(ifr.ifr_name) - 1);
	/* Another program could join a device of several queues: the first has to make it. */
	if (queues > 1)
		ifr.ifr_flags |= (short)(IFF_MULTI_QUEUE | IFF_TUN_EXCL);
	for (; out->count < queues; out->count++) {
		int fd = tun_open_queue(&ifr, offload, &out->udp, err);
		if (fd < 0) {
			tun_close(out);
			return -1;
		}
		out->fds[out->count] = fd;
		ifr.ifr_flags &= (short)~IFF_TUN_EXCL;
	}
	return 0;
}

void tun_close(struct tun *t)
{
	while (t->count > 0)
		close(t->fds[--t->count]);
}
