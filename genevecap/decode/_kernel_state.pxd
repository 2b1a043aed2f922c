# SPDX-License-Identifier: Apache-2.0
# What the compiled protocol functions share: the state of one frame, and checked access to it.
#
# `docs/decoding.md` is the specification; names follow it.  A protocol function
#   * is called with `position` at its first octet,
#   * asks `fits` before it reads, lists itself with `begin`,
#   * sets `position` and `next` and returns 1, or returns what `end_at`, `complete` or `fits` give (0).
# Reads are checked against the captured octets whatever a protocol function believes: one that
# asks for more gets 0 and `overruns` counts it, which tests demand to stay 0.

from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t

cdef enum:
    ETHERNET = 1
    VLAN = 2
    MPLS = 3
    LLC = 4
    SLL = 5
    SLL2 = 6
    RAW = 7
    NULL_FAMILY = 8
    IPV4 = 9
    IPV6 = 10
    UDP = 11
    TCP = 12
    SCTP = 13
    ICMP = 14
    ICMPV6 = 15
    ARP = 16
    VXLAN = 17
    VXLAN_GPE = 18
    GENEVE = 19
    GRE = 20
    NVGRE = 21
    ERSPAN = 22
    NSH = 23
    GTPU = 24
    ESP = 25
    AH = 26
    MACSEC = 27
    WIREGUARD = 28
    STT = 29
    LOOP = 30

cdef enum:
    COMPLETE = 0
    TRUNCATED = 1
    MALFORMED = 2
    UNSUPPORTED = 3
    TOO_DEEP = 4
    FRAGMENT = 5

cdef enum:
    KIND_GENEVE = 1
    KIND_VXLAN = 2
    KIND_VXLAN_GPE = 3
    KIND_GRE = 4
    KIND_NVGRE = 5
    KIND_ERSPAN = 6
    KIND_GTPU = 7
    KIND_IPIP = 8

cdef enum:
    G01 = 0x1
    G02 = 0x2
    G03 = 0x4
    G05 = 0x8
    G06 = 0x10
    G07 = 0x20
    G08 = 0x40
    G09 = 0x80
    G10 = 0x100
    G13 = 0x200
    G14 = 0x400
    G15 = 0x800
    G17 = 0x1000
    G18 = 0x2000
    G19 = 0x4000
    V01 = 0x8000
    V02 = 0x10000
    V06 = 0x80000
    V07 = 0x100000
    V08 = 0x200000
    V09 = 0x400000
    V10 = 0x800000
    V11 = 0x1000000

cdef enum:
    ETHERTYPE_SPACE = 0x10000
    IP_PROTOCOL_SPACE = 0x20000
    LINK_TYPE_SPACE = 0x30000
    NEXT_PROTOCOL_SPACE = 0x40000

cdef enum:
    MAX_TUNNELS = 8
    MAX_LAYERS = 32
    TENTATIVE = 0x80
    ENCODED_LAYERS = 256

# The registry of `layers.py` and the port table of `settings.py`, as look-up tables.
cdef struct Registry:
    const uint8_t *ethertype
    const uint8_t *ip_protocol
    const uint8_t *udp_port
    const uint8_t *gpe_protocol
    const uint32_t *critical_option     # known critical options: class << 8 | type
    uint32_t critical_options
    int32_t esp_icv_bytes       # of ESP that does not encrypt, or -1

# An IP header, and the transport header that follows it directly.
cdef struct Ip:
    uint8_t version
    uint8_t protocol
    uint8_t ttl
    uint8_t tos
    uint16_t fragment
    uint32_t identification
    uint64_t source_hi
    uint64_t source_lo
    uint64_t destination_hi
    uint64_t destination_lo
    int32_t source_port
    int32_t destination_port
    uint64_t offset
    uint64_t end                # of the packet by its own length, cut to the frame
    uint64_t payload_offset
    uint64_t payload_bytes

ctypedef Ip *IpRef

cdef struct Tcp:
    uint16_t flags
    uint16_t window
    uint16_t mss
    uint8_t options
    uint8_t window_scale
    uint32_t sequence
    uint32_t acknowledgment
    uint32_t timestamp
    uint32_t timestamp_echo

cdef struct Tunnel:
    uint8_t kind
    uint8_t version
    int32_t vni
    uint64_t source_hi
    uint64_t source_lo
    uint64_t destination_hi
    uint64_t destination_lo
    int32_t source_port
    int32_t destination_port
    uint64_t ip_offset
    uint64_t header_offset
    uint64_t overhead_end
    uint32_t flags
    uint32_t identifier
    uint32_t option_start
    uint8_t option_count

ctypedef Tunnel *TunnelRef

# The next free rows of the option table.
cdef struct OptionRows:
    uint16_t *option_class
    uint8_t *option_type
    uint32_t *data_offset
    uint8_t *data_bytes

cdef struct Frame:
    const uint8_t *data
    uint64_t captured
    uint64_t frame_end          # max(captured, original)
    uint64_t end                # of the current window
    bint fragment_bound         # the window's end is that of a first fragment
    bint ran_past               # a header ran past that end
    uint64_t position
    uint32_t next
    Registry registry
    uint64_t overruns
    # what was found
    uint8_t stop
    uint32_t stop_layer
    uint64_t stop_offset
    uint32_t findings
    uint64_t link_source
    uint64_t link_destination
    bint link_seen
    uint32_t layer_count
    uint32_t *layer_code        # this frame's rows of the layer table
    uint32_t *layer_offset
    uint32_t tunnel_count
    bint tunnel_open            # no network-layer header since the last tunnel header
    Tunnel tunnels[8]
    OptionRows options
    uint32_t option_count       # rows of the option table in use, all frames
    uint32_t ip_count
    Ip outer
    Ip inner
    Tcp tcp
    bint tcp_seen               # tcp holds something
    uint64_t payload_end        # where the trailer of ESP begins that does not encrypt, or 0
    # the first fragment that bounds the window, to go back to
    Ip fragment
    uint32_t fragment_ip_count
    uint32_t fragment_tunnels
    uint32_t fragment_options


ctypedef bint (*Handler)(Frame *f) noexcept nogil


ctypedef const uint8_t *Octets

cdef extern from *:
    """
    static const unsigned char genevecap_zeros[64];
    """
    const uint8_t *genevecap_zeros

cdef inline Octets view(Frame *f, uint64_t p, uint64_t octets) noexcept nogil:
    # The octets of a header that `fits` has found to be there (64 at most): one check for all of
    # its reads. Where it is not there after all, zeros stand in and the overrun is counted.
    if p + octets > f.captured:
        f.overruns += 1
        return genevecap_zeros
    return f.data + p

cdef inline uint32_t be16(Octets h) noexcept nogil:
    return (<uint32_t>h[0] << 8) | h[1]

cdef inline uint32_t be32(Octets h) noexcept nogil:
    return (<uint32_t>h[0] << 24) | (<uint32_t>h[1] << 16) | (<uint32_t>h[2] << 8) | h[3]

cdef inline uint64_t be48(Octets h) noexcept nogil:
    return (<uint64_t>be16(h) << 32) | be32(h + 2)

cdef inline uint64_t be64(Octets h) noexcept nogil:
    return (<uint64_t>be32(h) << 32) | be32(h + 4)

cdef inline uint32_t le32(Octets h) noexcept nogil:
    return (<uint32_t>h[3] << 24) | (<uint32_t>h[2] << 16) | (<uint32_t>h[1] << 8) | h[0]

cdef inline uint64_t le64(Octets h) noexcept nogil:
    return (<uint64_t>le32(h + 4) << 32) | le32(h)

cdef inline uint32_t u8(Frame *f, uint64_t p) noexcept nogil:
    if p + 1 > f.captured:
        f.overruns += 1
        return 0
    return f.data[p]

cdef inline uint32_t u16(Frame *f, uint64_t p) noexcept nogil:
    if p + 2 > f.captured:
        f.overruns += 1
        return 0
    return (<uint32_t>f.data[p] << 8) | f.data[p + 1]

cdef inline uint32_t u32(Frame *f, uint64_t p) noexcept nogil:
    if p + 4 > f.captured:
        f.overruns += 1
        return 0
    return ((<uint32_t>f.data[p] << 24) | (<uint32_t>f.data[p + 1] << 16)
            | (<uint32_t>f.data[p + 2] << 8) | f.data[p + 3])

cdef inline bint end_at(Frame *f, uint8_t stop, uint32_t layer, uint64_t p) noexcept nogil:
    # End the frame at the layer that begins at p.
    f.stop = stop
    f.stop_layer = layer
    f.stop_offset = p
    return 0

cdef inline bint complete(Frame *f, uint64_t p) noexcept nogil:
    return end_at(f, COMPLETE, 0, p)

cdef inline bint is_there(Frame *f, uint64_t p, uint64_t octets) noexcept nogil:
    # Tell whether octets from p are inside window and capture.
    return p + octets <= f.end and p + octets <= f.captured

cdef inline bint fits(Frame *f, uint64_t p, uint64_t octets, uint32_t layer) noexcept nogil:
    # Tell whether the first octets of the layer that begins at p are inside window and capture.
    if is_there(f, p, octets):
        return 1
    if p + octets > f.end:
        f.ran_past = f.fragment_bound
        return end_at(f, FRAGMENT if f.fragment_bound else MALFORMED, layer, p)
    return end_at(f, TRUNCATED, layer, p)

cdef inline void begin(Frame *f, uint32_t layer, uint64_t p) noexcept nogil:
    # List a layer; the driver has seen to it that there is room.
    f.layer_code[f.layer_count] = layer
    f.layer_offset[f.layer_count] = <uint32_t>p
    f.layer_count += 1

cdef inline bint go_on(Frame *f, uint64_t p, uint32_t layer) noexcept nogil:
    # The next layer begins at p.
    f.position = p
    f.next = layer
    return 1

cdef inline void narrow(Frame *f, uint64_t end) noexcept nogil:
    # A length field ends the window here, if not before; where both end, it has the last word.
    if end <= f.end:
        f.end = end
        f.fragment_bound = 0

cdef inline void link_layer_to(Frame *f, uint64_t p) noexcept nogil:
    # A link-layer header below the last tunnel header ends at p: the tunnel's overhead grows.
    if f.tunnel_open:
        f.tunnels[f.tunnel_count - 1].overhead_end = p

cdef inline bint by_version(Frame *f, uint64_t p, uint32_t layer, uint64_t begins) noexcept nogil:
    # Go on at p with the IP that its version nibble says; `layer` began at `begins`.
    cdef uint32_t version
    if not fits(f, p, 1, layer):
        f.stop_offset = begins
        return 0
    version = u8(f, p) >> 4
    if version == 4 or version == 6:
        return go_on(f, p, IPV4 if version == 4 else IPV6)
    return end_at(f, MALFORMED, layer, begins)

cdef inline bint by_ethertype(Frame *f, uint64_t p, uint32_t ethertype) noexcept nogil:
    cdef uint32_t layer = f.registry.ethertype[ethertype & 0xffff]
    return go_on(f, p, layer if layer else ETHERTYPE_SPACE | ethertype)
