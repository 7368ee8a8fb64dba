#include "controller/port.h"

#include <algorithm>
#include <array>

#include "controller/parse_patroni.h"

namespace controller {
namespace {

constexpr std::size_t kHead = 5;  ///< a letter, and the length without it

std::size_t length_of(std::string_view message) {
  std::size_t length = 0;
  for (std::size_t at = 1; at < kHead; ++at) length = length << 8 | static_cast<unsigned char>(message[at]);
  return length;
}

/// A field of an error: a letter and a text, each ended by a zero.
std::string_view field(std::string_view fields, char which) {
  while (!fields.empty() && fields.front() != '\0') {
    const std::string_view text = fields.substr(1, fields.find('\0') - 1);
    if (fields.front() == which) return text;
    fields.remove_prefix(std::min(text.size() + 2, fields.size()));
  }
  return {};
}

bool is_not_now(std::string_view sqlstate) {
  return sqlstate == "57P01" || sqlstate == "57P02" || sqlstate == "57P03";
}

}  // namespace

std::string start_up_packet() {
  constexpr std::array<char, 4> kProtocol3{0, 3, 0, 0};
  std::string body(kProtocol3.begin(), kProtocol3.end());
  for (const std::string_view word : {"user", "postgres", "database", "postgres", "application_name", "pointsman"}) {
    body.append(word).push_back('\0');
  }
  body.push_back('\0');
  const std::size_t length = body.size() + 4;
  std::string packet;
  for (const int shift : {24, 16, 8, 0}) packet.push_back(static_cast<char>(length >> shift & 0xFF));
  return packet + body;
}

std::optional<PortAnswer> parse_port_answer(std::string_view bytes, bool complete) {
  if (bytes.empty()) return complete ? std::optional(PortAnswer{PortSays::nothing, "closed without an answer"}) : std::nullopt;
  if (bytes.front() != 'E') return PortAnswer{PortSays::accepting, "accepts connections"};
  if (bytes.size() < kHead && !complete) return std::nullopt;
  const std::size_t whole = bytes.size() < kHead ? kHead : std::min(length_of(bytes) + 1, kPortAnswerBytes);
  if (bytes.size() < whole && !complete) return std::nullopt;
  const std::string_view fields = bytes.substr(std::min(kHead, bytes.size()));
  const std::string detail = printable(field(fields, 'M'), 100);
  if (is_not_now(field(fields, 'C'))) return PortAnswer{PortSays::rejecting, detail};
  return PortAnswer{PortSays::accepting, "accepts connections" + (detail.empty() ? "" : " (" + detail + ")")};
}

}  // namespace controller
