// SPDX-License-Identifier: GPL-2.0-or-later

// As fast as it can be done by hand with a verdict for each packet: recvmmsg, and all verdicts of a batch in one send.

#include "netlink.h"

int main(int argc, char **argv)
{
	struct peer p = peer_parse(argc, argv);
	int fd = netlink_bind(&p);
	struct receiver *r = receiver_new();
	struct verdict verdicts[BATCH];
	for (int i = 0; i < BATCH; i++)
		verdicts[i] = verdict_template(&p, NFQNL_MSG_VERDICT);

	peer_ready(&p);
	while (!peer_finished(&p)) {
		int n = receive(r, fd), packets = 0;
		if (n == 0)
			break;
		for (int i = 0; i < n; i++)
			packets += packet_id(r, i, &verdicts[packets].verdict.id);
		if (packets && send(fd, verdicts, packets * sizeof *verdicts, 0) < 0)
			peer_fail("send");
		peer_decided(&p, packets);
	}
	peer_report(&p);
	return 0;
}
