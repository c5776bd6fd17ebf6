// SPDX-License-Identifier: GPL-2.0-or-later

// A queue bound through libnetfilter_queue.

#ifndef LIBRARY_H
#define LIBRARY_H

#include <libnetfilter_queue/libnetfilter_queue.h>

#include "peer.h"

#define COPY_RANGE 0xffff

// RECEIVE_SIZE holds the largest packet with its metadata.
#define RECEIVE_SIZE (COPY_RANGE + 8192)

struct library_queue {
	struct nfq_handle *handle;
	struct nfq_q_handle *queue;
	int fd;
};

static inline struct library_queue library_bind(const struct peer *p, nfq_callback *callback, void *data)
{
	struct library_queue q = {.handle = nfq_open()};
	if (!q.handle)
		peer_fail("nfq_open");
	q.fd = nfq_fd(q.handle);
	peer_socket(p, q.fd);
	q.queue = nfq_create_queue(q.handle, p->queue, callback, data);
	if (!q.queue)
		peer_fail("nfq_create_queue");
	if (!p->defaults) {
		const uint32_t gso = p->no_gso ? 0 : NFQA_CFG_F_GSO;
		if (nfq_set_queue_maxlen(q.queue, p->max_len) < 0)
			peer_fail("nfq_set_queue_maxlen");
		if (nfq_set_queue_flags(q.queue, NFQA_CFG_F_GSO, gso) < 0)
			peer_fail("nfq_set_queue_flags");
	}
	if (nfq_set_mode(q.queue, NFQNL_COPY_PACKET, COPY_RANGE) < 0)
		peer_fail("nfq_set_mode");
	return q;
}

static inline uint32_t library_id(struct nfq_data *packet)
{
	const struct nfqnl_msg_packet_hdr *header = nfq_get_msg_packet_hdr(packet);
	return header ? ntohl(header->packet_id) : 0;
}

#endif
