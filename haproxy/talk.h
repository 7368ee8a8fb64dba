#pragma once
// The seam to HAProxy's runtime API.

#include <chrono>
#include <string>
#include <string_view>

#include "haproxy/result.h"

namespace haproxy {

/// Which process a line is for.
struct To {
  enum class Kind { worker, old_worker, master };
  Kind kind = Kind::worker;
  int pid = 0;  ///< of the old worker

  static To worker() { return {}; }                                  ///< the serving worker
  static To old_worker(int pid) { return {Kind::old_worker, pid}; }  ///< `@!PID` on the master socket
  static To master() { return {Kind::master, 0}; }                   ///< the master itself
};

class Talk {
 public:
  virtual ~Talk() = default;
  /// Sends one line (without its newline; under 16,000 bytes; `;` separates commands) on a fresh connection and reads to the
  /// end of the reply. A fresh one each time: one that was open before a reload goes on talking to the old worker. At most
  /// `within` from connect to last byte. Blocks. An empty reply is a success here. Any thread, one call at a time.
  [[nodiscard]] virtual Result<std::string> ask(To to, std::string_view line, std::chrono::milliseconds within) = 0;
};

}  // namespace haproxy
