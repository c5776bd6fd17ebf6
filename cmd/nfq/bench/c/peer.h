// SPDX-License-Identifier: GPL-2.0-or-later

// Command line and reporting, the same for all programs here.
//
// A program binds its queue, prints "ready", and reads one line from standard input before it touches the first packet,
// so that packets can be queued beforehand. It then decides the asked number of packets, or without a number all that
// come until the next line or end of its input, and prints what that took as one line of JSON. What it takes to decide
// the first packets, when memory is touched for the first time, may be left out.

#ifndef PEER_H
#define PEER_H

#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include <linux/netfilter.h>
#include <linux/netlink.h>

struct peer {
	uint16_t queue;
	uint32_t verdict;
	uint64_t packets;     // to decide, 0 for all that come
	uint64_t warm_up;     // of these are not measured
	uint32_t max_len;     // of the queue
	uint32_t read_buffer; // bytes as the kernel counts them
	bool no_gso;
	bool defaults; // leave queue and socket as the library makes them
	uint64_t done; // packets decided
	uint64_t done_before; // of these before the measurement
	struct timespec start;
	struct rusage start_usage;
};

static inline void peer_fail(const char *what)
{
	perror(what);
	exit(1);
}

static inline unsigned long peer_number(const char *option, const char *text)
{
	char *end;
	errno = 0;
	unsigned long n = strtoul(text, &end, 10);
	if (errno || *text < '0' || *text > '9' || *end) {
		fprintf(stderr, "--%s: %s is not a number\n", option, text);
		exit(2);
	}
	return n;
}

static inline struct peer peer_parse(int argc, char **argv)
{
	static const struct option options[] = {
		{"queue", required_argument, 0, 'q'},
		{"verdict", required_argument, 0, 'v'},
		{"packets", required_argument, 0, 'n'},
		{"warm-up", required_argument, 0, 'w'},
		{"max-len", required_argument, 0, 'l'},
		{"read-buffer", required_argument, 0, 'b'},
		{"no-gso", no_argument, 0, 'g'},
		{"defaults", no_argument, 0, 'd'},
		{0, 0, 0, 0},
	};
	struct peer p = {.verdict = NF_ACCEPT, .max_len = 1024, .read_buffer = 4 << 20};
	int c, i;
	while ((c = getopt_long(argc, argv, "", options, &i)) != -1) {
		switch (c) {
		case 'q': p.queue = peer_number("queue", optarg); break;
		case 'v': p.verdict = strcmp(optarg, "drop") ? NF_ACCEPT : NF_DROP; break;
		case 'n': p.packets = peer_number("packets", optarg); break;
		case 'w': p.warm_up = peer_number("warm-up", optarg); break;
		case 'l': p.max_len = peer_number("max-len", optarg); break;
		case 'b': p.read_buffer = peer_number("read-buffer", optarg); break;
		case 'g': p.no_gso = true; break;
		case 'd': p.defaults = true; break;
		default: exit(2);
		}
	}
	return p;
}

// peer_socket gives a netlink socket the receive buffer asked for and keeps it from congestion after an overrun.
static inline void peer_socket(const struct peer *p, int fd)
{
	// A receive call that finds nothing for this long looks for the end of the run, see peer_idle.
	const struct timeval idle = {.tv_usec = 50000};
	if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &idle, sizeof idle))
		peer_fail("SO_RCVTIMEO");
	if (p->defaults)
		return;
	int half = p->read_buffer / 2, on = 1; // the kernel doubles it
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &half, sizeof half) &&
	    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &half, sizeof half))
		peer_fail("SO_RCVBUF");
	if (setsockopt(fd, SOL_NETLINK, NETLINK_NO_ENOBUFS, &on, sizeof on))
		peer_fail("NETLINK_NO_ENOBUFS");
}

static inline void peer_start(struct peer *p)
{
	p->done_before = p->done;
	getrusage(RUSAGE_SELF, &p->start_usage);
	clock_gettime(CLOCK_MONOTONIC, &p->start);
}

static inline void peer_ready(struct peer *p)
{
	puts("ready");
	fflush(stdout);
	// Not a byte more than the line may be taken: what follows ends the run.
	for (char c = 0; c != '\n';) {
		ssize_t n = read(STDIN_FILENO, &c, 1);
		if (n < 0)
			peer_fail("read");
		if (n == 0)
			exit(0);
	}
	peer_start(p);
}

// peer_decided counts packets whose verdicts were sent.
static inline void peer_decided(struct peer *p, int packets)
{
	p->done += packets;
	if (p->warm_up && p->done >= p->warm_up) {
		p->warm_up = 0;
		peer_start(p);
	}
}

static inline bool peer_finished(const struct peer *p)
{
	return p->packets && p->done >= p->packets;
}

// peer_idle is called after a receive call failed, and reports whether the run is over.
static inline bool peer_idle(void)
{
	if (errno == ENOBUFS) // packets were lost; there are others
		return false;
	if (errno != EAGAIN && errno != EINTR)
		peer_fail("receive");
	struct pollfd in = {.fd = STDIN_FILENO, .events = POLLIN};
	return poll(&in, 1, 0) > 0;
}

static inline int64_t peer_ns(struct timeval from, struct timeval to)
{
	return (to.tv_sec - from.tv_sec) * 1000000000LL + (to.tv_usec - from.tv_usec) * 1000LL;
}

static inline void peer_report(const struct peer *p)
{
	struct timespec end;
	struct rusage usage;
	clock_gettime(CLOCK_MONOTONIC, &end);
	getrusage(RUSAGE_SELF, &usage);
	printf("{\"packets\":%llu,\"measured\":%llu,\"elapsed_ns\":%lld,\"user_ns\":%lld,\"system_ns\":%lld}\n",
	       (unsigned long long)p->done, (unsigned long long)(p->done - p->done_before),
	       (end.tv_sec - p->start.tv_sec) * 1000000000LL + (end.tv_nsec - p->start.tv_nsec),
	       (long long)peer_ns(p->start_usage.ru_utime, usage.ru_utime),
	       (long long)peer_ns(p->start_usage.ru_stime, usage.ru_stime));
	fflush(stdout);
}

#endif
