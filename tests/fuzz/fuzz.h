#pragma once
// What all targets share. A target states what must be true of whatever comes of its input; a statement that is not true ends
// the run.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "haproxy/result.h"

namespace fuzz {

/// The target's own: one input. Was it understood as what the target is for?
bool look_at(std::string_view input);

/// Ends the program with the statement where it is not true.
void require(bool is_true, const char* statement);

/// One line of printable ASCII, not empty.
[[nodiscard]] bool is_plain(std::string_view text);

/// A refusal says on what, and what was wrong, in one plain line.
void require_sound(const haproxy::Error& error);
/// The same; always false.
bool refused(const haproxy::Error& error);

/// An address in its one spelling, or nothing.
[[nodiscard]] bool is_ip_or_empty(const std::string& ip);

/// Cuts an input into its values: pieces end with a 0 byte.
class Pieces {
 public:
  explicit Pieces(std::string_view input) : rest_(input) {}
  [[nodiscard]] bool empty() const { return rest_.empty(); }
  std::string_view next();

 private:
  std::string_view rest_;
};

}  // namespace fuzz
