#pragma once
// HAProxy's runtime API over its Unix sockets.

#include <filesystem>

#include "haproxy/talk.h"

namespace haproxy {

/// With a stats socket, `To::worker()` goes there; with only a master socket it goes to `@1` on that one. `To::old_worker`
/// and `To::master` need the master socket; without one they fail with a hint. The master socket does not close after a
/// one-shot command (2.6.12, 3.0.11, 3.2.26): the sending side is shut down after the line. Through it `set severity-output`
/// does not hold for the next command of the line (2.6.12): complaints come without a number.
///
/// An old worker that has gone is an Error. A line that holds a newline or is too long is an Error, and nothing is sent; so is
/// a reply over 64 MB. HAProxy's own refusals ("Permission denied") are replies, not Errors.
class Socket final : public Talk {
 public:
  /// Either may be empty, not both. Nothing is opened yet.
  Socket(std::filesystem::path stats, std::filesystem::path master);
  [[nodiscard]] Result<std::string> ask(To to, std::string_view line, std::chrono::milliseconds within) override;

 private:
  std::filesystem::path stats_;
  std::filesystem::path master_;
};

}  // namespace haproxy
