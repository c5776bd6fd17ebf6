// SPDX-License-Identifier: GPL-2.0-or-later

// libnetfilter_queue as most programs use it: one receive and one verdict call per packet.

#include <arpa/inet.h>

#include "library.h"

static int decide(struct nfq_q_handle *queue, struct nfgenmsg *message, struct nfq_data *packet, void *data)
{
	struct peer *p = data;
	(void)message;
	int result = nfq_set_verdict(queue, library_id(packet), p->verdict, 0, NULL);
	peer_decided(p, 1);
	return result;
}

int main(int argc, char **argv)
{
	static char buffer[RECEIVE_SIZE] __attribute__((aligned));
	struct peer p = peer_parse(argc, argv);
	struct library_queue q = library_bind(&p, decide, &p);

	peer_ready(&p);
	while (!peer_finished(&p)) {
		ssize_t n = recv(q.fd, buffer, sizeof buffer, 0);
		if (n >= 0)
			nfq_handle_packet(q.handle, buffer, n);
		else if (peer_idle())
			break;
	}
	peer_report(&p);

	nfq_destroy_queue(q.queue);
	nfq_close(q.handle);
	return 0;
}
