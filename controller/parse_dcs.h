#pragma once
// What etcd and Consul are asked, and what they say, as values. Pure. Every answer is hostile until it is here: base64, JSON
// and UTF-8 are checked, unknown fields ignored, and each refusal says in one line of printable ASCII what was wrong.

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "controller/dcs.h"
#include "haproxy/result.h"

namespace controller {

/// The two keys of a cluster, as etcd names them: "/service/main/leader". Consul names them without the first '/'.
struct DcsPaths {
  std::string leader, failover;
  friend bool operator==(const DcsPaths&, const DcsPaths&) = default;
};
/// As Patroni (3.0.2 to 4.1) makes them: one '/' where there are several, and one before and after the namespace.
[[nodiscard]] DcsPaths dcs_paths(std::string_view name_space, std::string_view scope);

[[nodiscard]] std::string base64(std::string_view bytes);
/// Nothing where it is not whole: length, alphabet, padding.
[[nodiscard]] std::optional<std::string> from_base64(std::string_view text);

// etcd: its JSON gateway, /v3 (3.4 and later; 3.3 has /v3beta alone and is not asked). Recorded from 3.4.23.

/// For POST /v3/kv/txn: both keys at one revision.
[[nodiscard]] std::string etcd_read_request(const DcsPaths& paths);
/// For POST /v3/watch: two requests on one stream, one a key. They cost less than the range from one to the other or the
/// scope's prefix: members, status and optime change every turn, history and failsafe lie between, and none of them is sent.
[[nodiscard]] std::string etcd_watch_request(const DcsPaths& paths, std::uint64_t from_revision);
/// For POST /v3/auth/authenticate.
[[nodiscard]] std::string etcd_login_request(const std::string& username, const std::string& password);

struct EtcdRead {
  std::uint64_t revision = 0;
  std::optional<DcsKey> leader, failover;
  std::uint64_t newest = 0;  ///< mod_revision of the one of them that was written last; 0: none is there
  friend bool operator==(const EtcdRead&, const EtcdRead&) = default;
};
[[nodiscard]] haproxy::Result<EtcdRead> parse_etcd_read(std::string_view body, const DcsPaths& paths);

struct EtcdEvent {
  bool failover = false;      ///< which of the two keys
  std::optional<DcsKey> key;  ///< nothing: deleted
  std::uint64_t revision = 0;
  friend bool operator==(const EtcdEvent&, const EtcdEvent&) = default;
};

/// One line of a watch.
struct EtcdLine {
  bool created = false;                ///< one of the two watches stands
  bool canceled = false;               ///< it does no longer, or never did
  std::uint64_t compact_revision = 0;  ///< canceled: what was asked for is compacted; 0: another reason
  std::string reason;                  ///< canceled: etcd's words, printable
  std::vector<EtcdEvent> events;       ///< of our two keys; others are ignored
  friend bool operator==(const EtcdLine&, const EtcdLine&) = default;
};
[[nodiscard]] haproxy::Result<EtcdLine> parse_etcd_line(std::string_view line, const DcsPaths& paths);

[[nodiscard]] haproxy::Result<std::string> parse_etcd_token(std::string_view body);

/// etcd's own words in an answer that is an error; empty: none. 3.4 has them in "error", later versions in "message".
[[nodiscard]] std::string etcd_complaint(std::string_view body);

// Consul: /v1/kv, as its HTTP API is documented (1.6 and later; no server of it was at hand).

/// For GET: a key's value; `index` above 0: as soon as it is newer than that, or after `wait`.
[[nodiscard]] std::string consul_request(const std::string& path, std::uint64_t index, std::chrono::milliseconds wait);

/// A body of 200: one key in a list.
[[nodiscard]] haproxy::Result<DcsKey> parse_consul_key(std::string_view body);

}  // namespace controller
