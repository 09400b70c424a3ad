/* Host names as text: the one validator for Host headers, URLs and settings. Resolves nothing.
 *
 * Source: RFC 3986 section 3.2 (host and port), RFC 1123 section 2.1 (names in DNS). */
#ifndef SAGEGATE_BASE_HOST_H
#define SAGEGATE_BASE_HOST_H

#include "base/check.h"
#include "base/span.h"

/* Splits "HOST" or "HOST:PORT"; the host keeps an IPv6 address's brackets, *port is SPAN_NONE
 * without a colon. Returns false for a bracket that is not closed or is followed by anything but
 * ":PORT". Checks neither part. */
MUST_USE bool host_split(struct span text, struct span *host, struct span *port);

/* What a Host header may name: one or more unreserved characters, or an IPv6 address's characters
 * in brackets. Lenient, since such a host is only compared, never resolved: "a..b" passes. */
bool host_is_valid(struct span host);

/* A name to be resolved: labels of 1 to 63 letters, digits, '-' and '_', no '-' at either end,
 * 253 bytes in all, without a final dot. */
bool host_is_dns_name(struct span host);
/* One label: 1 to 63 letters, digits and '-', no '-' at either end. */
bool host_is_label(struct span label);

/* One to five digits, at most 65535. 0 is accepted: the caller knows whether it means anything. */
MUST_USE bool host_parse_port(struct span text, uint16_t *out);

#endif
