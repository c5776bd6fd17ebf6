// SPDX-License-Identifier: GPL-2.0-or-later

// libnetfilter_queue with one verdict call for all packets that have arrived.

#include <arpa/inet.h>

#include "library.h"

#define BATCH 64

static uint32_t last_id;

static int note(struct nfq_q_handle *queue, struct nfgenmsg *message, struct nfq_data *packet, void *data)
{
	(void)queue, (void)message, (void)data;
	last_id = library_id(packet);
	return 0;
}

int main(int argc, char **argv)
{
	static char buffer[RECEIVE_SIZE] __attribute__((aligned));
	struct peer p = peer_parse(argc, argv);
	struct library_queue q = library_bind(&p, note, NULL);

	peer_ready(&p);
	while (!peer_finished(&p)) {
		ssize_t n = recv(q.fd, buffer, sizeof buffer, 0);
		if (n < 0) {
			if (peer_idle())
				break;
			continue;
		}
		int packets = 0;
		do {
			nfq_handle_packet(q.handle, buffer, n);
			packets++;
		} while (packets < BATCH && (n = recv(q.fd, buffer, sizeof buffer, MSG_DONTWAIT)) >= 0);
		nfq_set_verdict_batch(q.queue, last_id, p.verdict);
		peer_decided(&p, packets);
	}
	peer_report(&p);

	nfq_destroy_queue(q.queue);
	nfq_close(q.handle);
	return 0;
}
