#pragma once
// What is published, as text for people and as JSON for programs. Pure.

#include <string>
#include <string_view>

#include "controller/published.h"
#include "haproxy/result.h"

namespace controller {

/// For a terminal of 100 columns: per cluster the writer and since when its last report is, the members with role, state,
/// timeline, lag and the age of their answer, and the servers with in or out and the reason. `source` says where it comes from
/// ("from the daemon", "own look").
[[nodiscard]] std::string status_text(const Published& published, Instant now, std::string_view source);

/// One JSON object, indented by two, keys documented in packaging/status.md. Durations in seconds (numbers), ages from `now`.
[[nodiscard]] std::string status_json(const Published& published, Instant now, std::string_view source);

/// The text form of what `status_json` made (the daemon's /status.json): `status` prints what the daemon says.
[[nodiscard]] haproxy::Result<std::string> status_text_from_json(std::string_view json);

/// One server's verdict with all the evidence, for people; every one that `server` names: "pg_primary/pg1", a server, or a
/// member by its name or URL. Error: nobody is called so; it says who there is.
[[nodiscard]] haproxy::Result<std::string> why_text(const Published& published, Instant now, std::string_view source,
                                                    std::string_view server);
/// The same of what `status_json` made.
[[nodiscard]] haproxy::Result<std::string> why_text_from_json(std::string_view json, std::string_view server);

/// GET /readyz: is this HAProxy routing as it should? `scope` empty: every cluster. `strict`: the writer must be in as well.
struct Readiness {
  bool ready = false;
  std::string why;  ///< one line for the body
};
[[nodiscard]] Readiness readiness(const Published& published, std::string_view scope, bool strict);

}  // namespace controller
