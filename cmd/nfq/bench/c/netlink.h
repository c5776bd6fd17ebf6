// SPDX-License-Identifier: GPL-2.0-or-later

// A queue on a bare netlink socket that receives many packets with one system call.

#ifndef NETLINK_H
#define NETLINK_H

#define _GNU_SOURCE // recvmmsg
#include <arpa/inet.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_queue.h>

#include "peer.h"

#define BATCH 64
#define COPY_RANGE 65531

// Slots hold the largest packet with its metadata. The odd lines between them spread their beginnings, which is all that
// small packets use, over the sets of the processor's caches.
#define SLOT (72 * 1024 + 192)

#define MESSAGE(type) (NFNL_SUBSYS_QUEUE << 8 | (type))

struct queue_header {
	struct nlmsghdr netlink;
	struct nfgenmsg netfilter;
};

struct verdict {
	struct queue_header header;
	struct nlattr attribute;
	struct nfqnl_msg_verdict_hdr verdict;
};

struct receiver {
	struct mmsghdr messages[BATCH];
	struct iovec slots[BATCH];
};

static inline void *put(char *message, uint16_t type, const void *data, size_t size)
{
	struct queue_header *header = (void *)message;
	struct nlattr *attribute = (void *)(message + NLMSG_ALIGN(header->netlink.nlmsg_len));
	attribute->nla_type = type;
	attribute->nla_len = NLA_HDRLEN + size;
	memcpy(attribute + 1, data, size);
	header->netlink.nlmsg_len += NLA_ALIGN(attribute->nla_len);
	return attribute;
}

// netlink_bind binds and configures the queue with one message and waits for the kernel's consent.
static inline int netlink_bind(const struct peer *p)
{
	int fd = socket(AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER);
	const struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
	if (fd < 0 || bind(fd, (const void *)&kernel, sizeof kernel) ||
	    connect(fd, (const void *)&kernel, sizeof kernel))
		peer_fail("netlink socket");
	peer_socket(p, fd);

	char message[256] __attribute__((aligned)) = {0};
	struct queue_header *header = (void *)message;
	header->netlink = (struct nlmsghdr){
		.nlmsg_len = sizeof *header,
		.nlmsg_type = MESSAGE(NFQNL_MSG_CONFIG),
		.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK,
	};
	header->netfilter.res_id = htons(p->queue);
	const struct nfqnl_msg_config_cmd command = {.command = NFQNL_CFG_CMD_BIND};
	const struct nfqnl_msg_config_params params = {htonl(COPY_RANGE), NFQNL_COPY_PACKET};
	const uint32_t max_len = htonl(p->max_len), mask = htonl(NFQA_CFG_F_GSO), flags = p->no_gso ? 0 : mask;
	put(message, NFQA_CFG_CMD, &command, sizeof command);
	put(message, NFQA_CFG_PARAMS, &params, sizeof params);
	put(message, NFQA_CFG_QUEUE_MAXLEN, &max_len, sizeof max_len);
	put(message, NFQA_CFG_MASK, &mask, sizeof mask);
	put(message, NFQA_CFG_FLAGS, &flags, sizeof flags);
	if (send(fd, message, header->netlink.nlmsg_len, 0) < 0)
		peer_fail("bind queue");

	// Packets may come only after this reply, which the kernel queues while it acts on the request.
	struct {
		struct nlmsghdr netlink;
		struct nlmsgerr reply;
		char request[256];
	} answer;
	if (recv(fd, &answer, sizeof answer, 0) < 0)
		peer_fail("bind queue");
	errno = -answer.reply.error;
	if (answer.netlink.nlmsg_type != NLMSG_ERROR || errno)
		peer_fail("bind queue");
	return fd;
}

static inline struct receiver *receiver_new(void)
{
	struct receiver *r = calloc(1, sizeof *r);
	char *slab = malloc((size_t)BATCH * SLOT);
	if (!r || !slab)
		peer_fail("malloc");
	for (int i = 0; i < BATCH; i++) {
		r->slots[i] = (struct iovec){slab + (size_t)i * SLOT, SLOT};
		r->messages[i].msg_hdr.msg_iov = &r->slots[i];
		r->messages[i].msg_hdr.msg_iovlen = 1;
	}
	return r;
}

// receive waits for packets and returns how many there are, 0 when the run is over.
static inline int receive(struct receiver *r, int fd)
{
	for (;;) {
		int n = recvmmsg(fd, r->messages, BATCH, MSG_WAITFORONE, NULL);
		if (n > 0)
			return n;
		if (peer_idle())
			return 0;
	}
}

// packet_id finds the id of a received packet, network byte order, by walking through its attributes as a program that
// looks at them would. It reports whether the message is a packet.
static inline bool packet_id(const struct receiver *r, int i, uint32_t *id)
{
	const char *message = r->slots[i].iov_base, *end = message + r->messages[i].msg_len;
	const struct queue_header *header = (const void *)message;
	if (end - message < (ptrdiff_t)sizeof *header || header->netlink.nlmsg_type != MESSAGE(NFQNL_MSG_PACKET))
		return false;
	const struct nlattr *attributes[NFQA_MAX + 1] = {0};
	for (const char *at = message + sizeof *header; end - at >= NLA_HDRLEN;) {
		const struct nlattr *a = (const void *)at;
		if (a->nla_len < NLA_HDRLEN || a->nla_len > end - at)
			return false;
		if ((a->nla_type & NLA_TYPE_MASK) <= NFQA_MAX)
			attributes[a->nla_type & NLA_TYPE_MASK] = a;
		at += NLA_ALIGN(a->nla_len);
	}
	if (!attributes[NFQA_PACKET_HDR])
		return false;
	*id = ((const struct nfqnl_msg_packet_hdr *)(attributes[NFQA_PACKET_HDR] + 1))->packet_id;
	return true;
}

static inline struct verdict verdict_template(const struct peer *p, int type)
{
	return (struct verdict){
		.header.netlink = {.nlmsg_len = sizeof(struct verdict), .nlmsg_type = MESSAGE(type), .nlmsg_flags = NLM_F_REQUEST},
		.header.netfilter.res_id = htons(p->queue),
		.attribute = {NLA_HDRLEN + sizeof(struct nfqnl_msg_verdict_hdr), NFQA_VERDICT_HDR},
		.verdict.verdict = htonl(p->verdict),
	};
}

#endif
