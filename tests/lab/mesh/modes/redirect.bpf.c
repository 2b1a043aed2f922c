// SPDX-License-Identifier: (Apache-2.0 OR GPL-2.0)
/*
 * tc programs of the lab's eBPF redirection, after the description of Istio's (istio 1.20,
 * cni/pkg/ebpf/app/ambient_redirect.bpf.c): between the node's ends of the veths of pods and
 * ztunnel, TCP and UDP packets take a short cut with another destination MAC, and nothing else
 * changes. In ztunnel's pod they are given to the listener or connection they belong to.
 *
 * Compiled per node by ebpf.py, which defines
 *   HOST_IP           address the node has towards its pods (host byte order)
 *   ZTUNNEL_IFINDEX   node's end of ztunnel's veth
 *   ZTUNNEL_MAC       six octets, comma separated
 *   PODS(POD)         POD(address, ifindex, six octets) for every pod of the mesh on this node
 */

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/pkt_cls.h>
#include <linux/tcp.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define OUTBOUND_PORT 15001
#define PLAINTEXT_PORT 15006
#define HBONE_PORT 15008
#define DNS_PORT 53

/* Marks of Istio's, and what it leaves in cb[4] for the next program on the packet's way. */
#define TPROXY_MARK 1024
#define WAY 4
#define WAY_OUTBOUND 1
#define WAY_INBOUND 2
#define WAY_PAST_ZTUNNEL 3

struct headers {
	struct ethhdr *ethernet;
	struct iphdr *ip;
};

/* Point into an IPv4 packet of TCP or UDP; 0 where it is something else. */
static __always_inline int find_headers(struct __sk_buff *skb, struct headers *found)
{
	void *data = (void *)(long)skb->data;
	void *end = (void *)(long)skb->data_end;

	found->ethernet = data;
	found->ip = data + sizeof(struct ethhdr);
	if ((void *)(found->ip + 1) > end)
		return 0;
	if (found->ethernet->h_proto != bpf_htons(ETH_P_IP))
		return 0;
	return found->ip->protocol == IPPROTO_TCP || found->ip->protocol == IPPROTO_UDP;
}

/* DNS is not captured: true for UDP from (offset 0) or to (offset 2) port 53. */
static __always_inline int is_dns(struct __sk_buff *skb, struct iphdr *ip, int offset)
{
	void *end = (void *)(long)skb->data_end;
	__be16 *port = (void *)(ip + 1) + offset;

	if (ip->protocol != IPPROTO_UDP || (void *)(port + 1) > end)
		return 0;
	return *port == bpf_htons(DNS_PORT);
}

static __always_inline int to_ztunnel(struct __sk_buff *skb, struct headers *at, __u32 way)
{
	const __u8 mac[ETH_ALEN] = { ZTUNNEL_MAC };

	__builtin_memcpy(at->ethernet->h_dest, mac, ETH_ALEN);
	skb->cb[WAY] = way;
	return bpf_redirect(ZTUNNEL_IFINDEX, 0);
}

/* Node's end of a pod's veth, ingress: what the pod sends. */
SEC("tc/app_outbound")
int app_outbound(struct __sk_buff *skb)
{
	struct headers at;

	if (!find_headers(skb, &at) || at.ip->daddr == bpf_htonl(HOST_IP) || is_dns(skb, at.ip, 2))
		return TC_ACT_OK;
	return to_ztunnel(skb, &at, WAY_OUTBOUND);
}

/* Node's end of a pod's veth, egress: what is meant for the pod. */
SEC("tc/app_inbound")
int app_inbound(struct __sk_buff *skb)
{
	struct headers at;

	if (skb->cb[WAY] == WAY_PAST_ZTUNNEL)
		return TC_ACT_OK;
	if (!find_headers(skb, &at) || at.ip->saddr == bpf_htonl(HOST_IP) || is_dns(skb, at.ip, 0))
		return TC_ACT_OK;
	return to_ztunnel(skb, &at, WAY_INBOUND);
}

/* Node's end of ztunnel's veth, ingress: what ztunnel sends to pods of this node. */
SEC("tc/ztunnel_host_ingress")
int ztunnel_host_ingress(struct __sk_buff *skb)
{
	struct headers at;

	if (!find_headers(skb, &at))
		return TC_ACT_OK;
#define POD(address, ifindex, ...)                                             \
	if (at.ip->daddr == bpf_htonl(address)) {                              \
		const __u8 mac[ETH_ALEN] = { __VA_ARGS__ };                    \
		__builtin_memcpy(at.ethernet->h_dest, mac, ETH_ALEN);          \
		skb->cb[WAY] = WAY_PAST_ZTUNNEL;                               \
		return bpf_redirect(ifindex, 0);                               \
	}
	PODS(POD)
#undef POD
	return TC_ACT_OK;
}

/* Find the socket of a connection that exists, or the listener for a new one. */
static __always_inline struct bpf_sock *find_socket(struct __sk_buff *skb, struct iphdr *ip)
{
	void *end = (void *)(long)skb->data_end;
	struct tcphdr *tcp = (void *)(ip + 1);
	struct bpf_sock_tuple tuple = {};
	struct bpf_sock *socket;

	if (ip->ihl != 5 || (void *)(tcp + 1) > end)
		return 0;
	tuple.ipv4.saddr = ip->saddr;
	tuple.ipv4.daddr = ip->daddr;
	tuple.ipv4.sport = tcp->source;
	tuple.ipv4.dport = tcp->dest;
	socket = bpf_skc_lookup_tcp(skb, &tuple, sizeof(tuple.ipv4), BPF_F_CURRENT_NETNS, 0);
	if (socket) {
		if (socket->state != BPF_TCP_LISTEN)
			return socket;
		bpf_sk_release(socket);
	}
	tuple.ipv4.saddr = tuple.ipv4.daddr = 0;
	tuple.ipv4.sport = 0;
	if (skb->cb[WAY] == WAY_OUTBOUND)
		tuple.ipv4.dport = bpf_htons(OUTBOUND_PORT);
	else if (tcp->dest != bpf_htons(HBONE_PORT))
		tuple.ipv4.dport = bpf_htons(PLAINTEXT_PORT);
	socket = bpf_skc_lookup_tcp(skb, &tuple, sizeof(tuple.ipv4), BPF_F_CURRENT_NETNS, 0);
	if (socket && socket->state != BPF_TCP_LISTEN) {
		bpf_sk_release(socket);
		return 0;
	}
	return socket;
}

/* eth0 in ztunnel's pod, ingress: packets that came by one of the short cuts. */
SEC("tc/ztunnel_tproxy")
int ztunnel_tproxy(struct __sk_buff *skb)
{
	struct headers at;
	struct bpf_sock *socket;
	long failed;

	if (skb->cb[WAY] != WAY_OUTBOUND && skb->cb[WAY] != WAY_INBOUND)
		return TC_ACT_OK;
	if (!find_headers(skb, &at) || at.ip->protocol != IPPROTO_TCP)
		return TC_ACT_OK;
	socket = find_socket(skb, at.ip);
	if (!socket)
		return TC_ACT_OK;
	failed = bpf_sk_assign(skb, socket, 0);
	bpf_sk_release(socket);
	if (failed)
		return TC_ACT_SHOT;
	skb->mark = TPROXY_MARK;
	return TC_ACT_OK;
}

/* bpf_skc_lookup_tcp and bpf_sk_assign are for programs that are GPL-compatible. */
char _license[] SEC("license") = "Dual BSD/GPL";
