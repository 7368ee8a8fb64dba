#pragma once
// Patroni's answers, from bytes to values. Pure. Hostile until checked: each text that goes on from here has passed the
// grammar that it needs, and each refusal says in one line of printable ASCII what was wrong.
//
// Sources: Patroni 3.0.2, 4.0.7 and 4.1.5, recorded answers in tests/fixtures/patroni.

#include <string>
#include <string_view>

#include "controller/report.h"
#include "haproxy/result.h"

namespace controller {

using haproxy::Result;

/// At most this many bytes of body are looked at; a poller cuts the transfer there.
inline constexpr std::size_t kMaxBodyBytes = 1'000'000;

/// The body of `GET /primary` with its HTTP code (200 and 503 are answers, every other code is none) and its Date header (empty
/// where there was none). Refuses: HTML and anything else that is not one JSON object, nesting deeper than 32, doubled keys,
/// invalid UTF-8, a body over kMaxBodyBytes, a missing or wrongly typed `state`, `role`, `patroni.scope`; a `timeline` or
/// position that is no unsigned integer or null; an identifier that is not 1 to 20 digits; a name that is no HAProxy server
/// name (haproxy::is_name). Keys it does not know are passed over. Error: operation "read", subject `subject` (the member's
/// URL).
[[nodiscard]] Result<Answer> parse_answer(int http_code, std::string_view body, std::string_view date,
                                          const std::string& subject);

/// The body of `GET /cluster`, code 200 only. A member with a name that HAProxy would not take, an address that is neither
/// numeric nor a host name, or a port out of range makes the whole answer refused: who lies once is not believed in the rest.
/// An empty list is an answer.
[[nodiscard]] Result<ClusterReport> parse_cluster(int http_code, std::string_view body, const std::string& subject);

/// The body of `GET /config`; a missing ttl or loop_wait keeps its default (Patroni's own), one outside 1..86400 is refused.
[[nodiscard]] Result<Timings> parse_timings(int http_code, std::string_view body, const std::string& subject);

/// A text from the network made fit for a log line: printable ASCII, the rest as \xNN, cut to `most` characters.
[[nodiscard]] std::string printable(std::string_view text, std::size_t most = 120);

}  // namespace controller
