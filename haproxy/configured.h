#pragma once
// What HAProxy's own configuration says, and its sockets do not tell. Pure.

#include <set>
#include <string>
#include <vector>

namespace haproxy {

struct ConfigurationFile {
  std::string path;
  std::string text;
};

/// A line of a file; lines count from 1.
struct ConfiguredAt {
  std::string path;
  int line = 0;
  friend bool operator==(const ConfiguredAt&, const ConfiguredAt&) = default;
};

/// The lines that give `on-marked-down shutdown-sessions` to servers of these backends: `server`, `server-template` and
/// `default-server` of a `backend` or `listen` section, and the `default-server` of the `defaults` that it has. The files in
/// the order in which HAProxy reads them, as one.
[[nodiscard]] std::vector<ConfiguredAt> find_on_marked_down(const std::vector<ConfigurationFile>& files,
                                                            const std::set<std::string>& backends);

}  // namespace haproxy
