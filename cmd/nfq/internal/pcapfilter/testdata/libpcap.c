// SPDX-License-Identifier: GPL-2.0-or-later
//
// Says which packets filters match according to libpcap. The argument is the link type, such as RAW. Each
// line of the standard input is
//
//	packet LENGTH HEXADECIMAL	a packet, and the length that it had before it was cut
//	filter EXPRESSION		answered with a digit for each packet, or with "error" and the reason
//	.				flushes the answers

#define _GNU_SOURCE
#include <dlfcn.h>
#include <netdb.h>
#include <pcap/pcap.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct packet {
	struct pcap_pkthdr header;
	u_char *data;
};

static struct packet packets[100000];
static size_t count;

// getaddrinfo replaces that of the C library for libpcap, so that no name server is asked.
int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **result)
{
	int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **) = dlsym(RTLD_NEXT, "getaddrinfo");
	struct addrinfo numeric = *hints;
	if (node && strcmp(node, "localhost"))
		numeric.ai_flags |= AI_NUMERICHOST;
	return real(node, service, &numeric, result);
}

static void add(const char *text)
{
	struct packet *p = &packets[count++];
	char *hex;
	p->header.len = strtoul(text, &hex, 10);
	hex++;
	p->header.caplen = strlen(hex) / 2;
	p->data = malloc(p->header.caplen + 1);
	for (bpf_u_int32 i = 0; i < p->header.caplen; i++)
		sscanf(hex + 2 * i, "%2hhx", &p->data[i]);
}

static void match(pcap_t *handle, const char *text)
{
	struct bpf_program program;
	if (pcap_compile(handle, &program, text, 0, PCAP_NETMASK_UNKNOWN) != 0) {
		printf("error %s\n", pcap_geterr(handle));
		return;
	}
	for (size_t i = 0; i < count; i++)
		putchar(pcap_offline_filter(&program, &packets[i].header, packets[i].data) ? '1' : '0');
	putchar('\n');
	pcap_freecode(&program);
}

int main(int argc, char **argv)
{
	static char line[1 << 20];
	pcap_t *handle = pcap_open_dead(pcap_datalink_name_to_val(argv[argc - 1]), 65535);
	while (fgets(line, sizeof line, stdin)) {
		line[strcspn(line, "\n")] = 0;
		if (!strncmp(line, "packet ", 7) && count < sizeof packets / sizeof *packets)
			add(line + 7);
		else if (!strncmp(line, "filter ", 7))
			match(handle, line + 7);
		else if (!strcmp(line, "."))
			fflush(stdout);
	}
	pcap_close(handle);
	return 0;
}
