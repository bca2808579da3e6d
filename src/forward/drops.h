/* SPDX-License-Identifier: MIT */
/* Why a packet was dropped: one list makes the enum, the metric name and the text. */
#ifndef FORWARD_DROPS_H
#define FORWARD_DROPS_H

#define DROP_REASONS(X)                                                                            \
	/* from the network */                                                                     \
	X(RUNT, "runt", "shorter than an ESP packet can be")                                       \
	X(IKE_CLOSED, "ike-closed", "an IKE message, and nobody here speaks IKE")                  \
	X(IKE_BUSY, "ike-busy", "control had no room for another IKE message")                     \
	X(IKE_INIT_BUSY, "ike-init-busy", "control had no room for another IKE_SA_INIT")           \
	X(UNKNOWN_SPI, "unknown-spi", "no SA has this SPI")                                        \
	X(WRONG_FORM, "wrong-form", "native where the SA is UDP-encapsulated, or the reverse")     \
	X(SA_DEAD, "sa-dead", "the SA's lifetime ended")                                           \
	X(REPLAYED, "replayed", "this number came before")                                         \
	X(TOO_OLD, "too-old", "the number is left of the replay window")                           \
	X(NOT_AUTHENTIC, "not-authentic", "the integrity check failed")                            \
	X(BAD_TRAILER, "bad-trailer", "padding or trailer is not as RFC 4303 says")                \
	X(BAD_INNER, "bad-inner", "the inner packet is not a sound IP packet")                     \
	X(INNER_SOURCE, "inner-source", "the inner source does not belong to the SA")              \
	X(INNER_DESTINATION, "inner-destination", "the inner destination is not ours")             \
	X(NOT_ACTIVE, "not-active", "active connections only are accepted, and this one is not")   \
	X(HELLO_DATA, "hello-data", "a new epoch announced by something not a registration")       \
	X(ECN, "ecn", "outer congestion mark on a packet that cannot carry it")                    \
	X(DUMMY, "dummy", "a dummy packet (next header 59), discarded as it should be")            \
	/* from the inside */                                                                      \
	X(NO_BINDING, "no-binding", "no active connection for the destination")                    \
	X(BAD_FRAME, "bad-frame", "the TUN device gave something not a sound IP packet")           \
	X(TOO_BIG, "too-big", "larger than the path; its sender was told")                         \
	X(NUMBERS_SPENT, "numbers-spent", "the SA has no sequence number left")                    \
	X(UNCONFIRMED, "unconfirmed", "more than may be sent to an address that has not answered") \
	X(NO_PATH, "no-path", "the connection has no care-of address yet")                         \
	/* ourselves */                                                                            \
	X(SEND_FAILED, "send-failed", "the system refused to send")                                \
	X(TUN_FAILED, "tun-failed", "the TUN device refused the packet")                           \
	X(CONTROL_BUSY, "control-busy", "control had no room for another message")                 \
	/* transport and BEET mode, either way */                                                  \
	X(NOT_THE_PAIR, "not-the-pair", "its addresses are not the pair the connection carries")   \
	X(FRAGMENT, "fragment", "a fragment, which only tunnel mode can carry")                    \
	X(OUTSIDE, "outside", "transport mode: options or extension headers outside of ESP")       \
	/* from the network, again */                                                              \
	X(WRONG_PROTOCOL, "wrong-protocol", "AH where the SA is of ESP, or the reverse")           \
	X(BAD_OUTER, "bad-outer", "headers before AH that are not sound")                          \
	X(NOT_THE_BUNDLE, "not-the-bundle", "not the ESP that the bundle has inside AH")

enum drop_reason {
#define X(id, name, text) DROP_##id,
	DROP_REASONS(X)
#undef X
	    DROP_COUNT
};

const char *drop_name(enum drop_reason r);
const char *drop_text(enum drop_reason r);

#endif
