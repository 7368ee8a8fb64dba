#include "tests/fuzz/fuzz.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "haproxy/address.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::look_at({reinterpret_cast<const char*>(data), size});
  return 0;
}

namespace fuzz {

void require(bool is_true, const char* statement) {
  if (is_true) return;
  std::fprintf(stderr, "not true: %s\n", statement);
  std::abort();
}

bool is_plain(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) { return c >= ' ' && c <= '~'; });
}

void require_sound(const haproxy::Error& error) {
  require(!error.operation.empty() && !error.subject.empty(), "an error says what was tried, on what");
  require(is_plain(error.detail), "an error says what happened in one plain line");
  require(error.text().size() < 2000, "an error is short");
}

bool refused(const haproxy::Error& error) {
  require_sound(error);
  return false;
}

bool is_ip_or_empty(const std::string& ip) {
  return ip.empty() || haproxy::parse_ip(ip) == ip;
}

std::string_view Pieces::next() {
  const std::size_t end = std::min(rest_.find('\0'), rest_.size());
  const std::string_view piece = rest_.substr(0, end);
  rest_.remove_prefix(std::min(end + 1, rest_.size()));
  return piece;
}

}  // namespace fuzz
