#pragma once
// The configuration file, read and checked. Everything that is wrong with it is found at once, with file, line and column.

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "haproxy/result.h"

namespace controller {

using haproxy::Result;
using std::chrono::milliseconds;

/// How often the members are asked.
struct Poll {
  milliseconds calm{1000};     ///< while all is well; 100 ms to 60 s
  milliseconds alert{50};      ///< after a change; 10 ms to calm
  milliseconds timeout{1500};  ///< for one answer, connect included; 100 ms to 30 s. Also the age up to which a report is fresh
  friend bool operator==(const Poll&, const Poll&) = default;
};

/// For members whose URL is https.
struct Tls {
  std::filesystem::path ca;         ///< empty: the system's
  std::filesystem::path cert, key;  ///< both or neither
  std::filesystem::path key_password_file;
  std::string server_name;  ///< what the certificate must say; empty: the URL's host
  bool verify = true;
  friend bool operator==(const Tls&, const Tls&) = default;
};

enum class Serves : std::uint8_t { primary, replica };
[[nodiscard]] const char* word(Serves serves);

/// A new writer takes few connections at once at first.
struct RampConfig {
  unsigned start = 0;       ///< so many; 1 to 10000
  milliseconds over{2000};  ///< as many as ever after so long; 100 ms to 1 min
  friend bool operator==(const RampConfig&, const RampConfig&) = default;
};

struct BackendConfig {
  std::string name;
  Serves serves = Serves::primary;
  std::optional<std::uint64_t> max_lag_bytes;  ///< replica only; none: any lag
  std::uint64_t lag_back_bytes = 0;            ///< three quarters of max_lag where not given
  milliseconds lag_hold{5000};
  bool fallback_primary = false;   ///< replica only
  std::optional<RampConfig> ramp;  ///< primary only, by method runtime; none: it takes all at once
  std::string server_options = "check port {{api_port}} inter 3s fall 3 rise 2 on-marked-down shutdown-sessions";
  int line = 0;  ///< where it stands in the file, for messages
  friend bool operator==(const BackendConfig&, const BackendConfig&) = default;
};

/// A server that speaks HTTP, as the configuration names it: a member's REST API, or one of a DCS.
struct MemberUrl {
  std::string url;  ///< normalised: "http://10.0.0.11:8008" or "https://[::1]:8008", no path, port always there
  bool https = false;
  std::string host;  ///< "10.0.0.11", "::1", "pg1.example"
  std::uint16_t port = 0;
  friend bool operator==(const MemberUrl&, const MemberUrl&) = default;
};
/// "http://10.0.0.11:8008", "https://pg1:8008/"; a path, a query, a user or another scheme is refused.
[[nodiscard]] Result<MemberUrl> parse_url(std::string_view text, std::uint16_t default_port);
/// The same of a member: the port defaults to 8008.
[[nodiscard]] Result<MemberUrl> parse_member_url(std::string_view text);

/// The DCS that Patroni uses, where a cluster is watched in it.
struct WatchConfig {
  enum class Dcs : std::uint8_t { etcd, consul };
  Dcs dcs = Dcs::etcd;
  std::vector<MemberUrl> endpoints;     ///< etcd: at least one, each once; consul: one
  std::string name_space = "/service";  ///< `namespace` of Patroni's configuration
  Tls tls;
  std::string username;                 ///< etcd; empty: no log-in
  std::filesystem::path password_file;  ///< etcd: of `username`; consul: a token; its first line counts
  friend bool operator==(const WatchConfig&, const WatchConfig&) = default;
};

struct ClusterConfig {
  std::string scope;
  std::vector<MemberUrl> members;       ///< at least one, each once
  std::vector<BackendConfig> backends;  ///< at least one, each name once in the whole file
  Poll poll;
  Tls tls;
  std::optional<WatchConfig> watch;
  std::optional<milliseconds> keep_silent;  ///< default: the cluster's ttl
  milliseconds follow{15'000};
  std::optional<milliseconds> hold;  ///< the longest that an announced hold lasts; default: ttl and loop_wait
  milliseconds pre_hold{1000};       ///< how long new connections wait for an announcement to show; 0: not at all; at most 10 s
  friend bool operator==(const ClusterConfig&, const ClusterConfig&) = default;
};

enum class Method : std::uint8_t { runtime, file };
[[nodiscard]] const char* word(Method method);

struct HaproxyConfig {
  Method method = Method::runtime;
  std::filesystem::path socket;         ///< runtime: needed
  std::filesystem::path master_socket;  ///< file: this, `socket` or both; needed for `reload: master_socket`
  std::filesystem::path fragment;       ///< file: needed. runtime: written through where given
  std::filesystem::path template_path;  ///< empty: the packaged one
  std::vector<std::string> validate;    ///< empty: `haproxy -c` on what HAProxy was started with
  std::vector<std::string> reload;      ///< empty: the master socket
  bool observe = false;
  friend bool operator==(const HaproxyConfig&, const HaproxyConfig&) = default;
};

struct HttpConfig {
  std::string address;  ///< numeric; default 127.0.0.1
  std::uint16_t port = 8010;
  bool enabled = true;                    ///< `http: off`
  std::filesystem::path token_file = {};  ///< what POST must show; needed where `address` is not loopback
  friend bool operator==(const HttpConfig&, const HttpConfig&) = default;
};

enum class LogLevel : std::uint8_t { debug, info, warning, error };
enum class LogFormat : std::uint8_t { text, json };

/// Where decisions are written down.
struct JournalConfig {
  bool enabled = true;                                 ///< `journal: off`
  std::filesystem::path path = "/var/lib/pointsman";   ///< a folder; that of `state` where not given
  std::uint64_t keep_bytes = std::uint64_t{64} << 20;  ///< at most so many; 1 MB to 1 TB
  friend bool operator==(const JournalConfig&, const JournalConfig&) = default;
};

struct Config {
  std::vector<ClusterConfig> clusters;
  HaproxyConfig haproxy;
  HttpConfig http{"127.0.0.1", 8010, true};
  std::filesystem::path state = "/var/lib/pointsman";
  JournalConfig journal = {};
  LogLevel log_level = LogLevel::info;
  LogFormat log_format = LogFormat::text;
  friend bool operator==(const Config&, const Config&) = default;
};

/// One thing wrong. Lines and columns count from 1; 0 where the whole file is meant.
struct Complaint {
  std::string file;
  int line = 0;
  int column = 0;
  std::string what;                        ///< with the value: "unknown key 'bakends'"
  std::string remedy;                      ///< "did you mean 'backends'?", "write a duration such as 500ms, 1s or 2min"
  [[nodiscard]] std::string text() const;  ///< "FILE:LINE:COLUMN: WHAT (REMEDY)"
  friend bool operator==(const Complaint&, const Complaint&) = default;
};

/// Reads a configuration from text. Pure. Unknown and doubled keys, wrong types, values out of range and impossible
/// combinations are all reported, in the order of the file.
[[nodiscard]] tl::expected<Config, std::vector<Complaint>> parse_config(std::string_view yaml, const std::string& file);

/// The same from a file; one that cannot be read is one Complaint.
[[nodiscard]] tl::expected<Config, std::vector<Complaint>> read_config(const std::filesystem::path& file);

/// "500ms", "1s", "2min", "1h"; no sign, no fraction, no blank; at most 24 h. A bare number is refused ("1" of what?).
[[nodiscard]] std::optional<milliseconds> parse_duration(std::string_view text);
/// "16MB", "512kB", "1GB", "1048576": bytes, in powers of 1024 as PostgreSQL counts.
[[nodiscard]] std::optional<std::uint64_t> parse_size(std::string_view text);

}  // namespace controller
