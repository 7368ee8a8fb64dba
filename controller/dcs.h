#pragma once
// What Patroni keeps in the DCS about who leads and who shall lead, as values. Pure.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "haproxy/result.h"

namespace controller {

/// Something that a DCS said. It is hearsay: a reason to ask the members at once, never a verdict.
struct Announcement {
  enum class What : std::uint8_t {
    leader,          ///< the leader key has another value than before, or is gone
    switchover,      ///< somebody asked for a switchover or failover; told once per write of the key
    switchover_over  ///< the last one told is not asked for any more: done, failed or taken back
  };
  std::size_t cluster = 0;  ///< index in the configuration
  What what = What::leader;
  std::string leader;    ///< leader: the member that holds the key now; empty: the key is gone
  std::string id;        ///< switchover, switchover_over: the key's revision (etcd: mod_revision; Consul: ModifyIndex)
  std::string from, to;  ///< switchover: names of members; one of them may be empty
  std::optional<std::int64_t> at;  ///< switchover: when it falls due, Unix seconds; nothing: now
  friend bool operator==(const Announcement&, const Announcement&) = default;
};
[[nodiscard]] const char* word(Announcement::What what);

/// A key that is there, as it was read. Nobody has looked at the value yet.
struct DcsKey {
  std::string value;
  std::string id;  ///< changes with every write
  friend bool operator==(const DcsKey&, const DcsKey&) = default;
};

/// What the failover key asks for.
struct Switchover {
  std::string id;
  std::string from, to;
  std::optional<std::int64_t> at;
  friend bool operator==(const Switchover&, const Switchover&) = default;
};

/// Patroni (3.0.2 to 4.1) writes {"leader": NAME, "member": NAME, "scheduled_at": ISO time}, each where it is known, and {}
/// when it is over; it also reads "NAME:NAME". Nothing where it asks for nothing. Refused: a name that cannot name a server,
/// and a time that cannot be read or has no zone (nobody may take "tomorrow" for "now").
[[nodiscard]] haproxy::Result<std::optional<Switchover>> parse_failover(const DcsKey& key);

/// "2026-11-22T19:00:00+00:00", with a fraction or none, 'T' or a blank, 'Z' or an offset; Unix seconds, rounded down.
[[nodiscard]] std::optional<std::int64_t> parse_time(std::string_view text);

/// What is known of one cluster's keys.
struct KnownKeys {
  std::optional<std::string> leader;  ///< nothing: never seen; empty: gone
  std::optional<Switchover> switchover;
  friend bool operator==(const KnownKeys&, const KnownKeys&) = default;
};

/// Brings `known` up to what the key says now (nothing: it is not there), and returns what is news in that, in order. The same
/// leader written again is none (Patroni 3.0.2 puts it each turn), nor is a leader key that was never seen and is not there.
/// A refused value changes nothing.
[[nodiscard]] haproxy::Result<std::vector<Announcement>> note_leader(KnownKeys& known, std::size_t cluster,
                                                                     const std::optional<DcsKey>& now);
[[nodiscard]] haproxy::Result<std::vector<Announcement>> note_failover(KnownKeys& known, std::size_t cluster,
                                                                       const std::optional<DcsKey>& now);

}  // namespace controller
