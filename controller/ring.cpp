#include "controller/ring.h"

#include <algorithm>
#include <fstream>

#include <fmt/core.h>

namespace controller {
namespace {

constexpr auto kHeld = "held";

Reply refused(const Doorbell::Refused& refused) {
  switch (refused.why) {
    case Doorbell::Refusal::too_many:
      return {429, refused.line, true};
    case Doorbell::Refusal::not_known_yet:
      return {503, refused.line, true};
    case Doorbell::Refusal::unknown:
    case Doorbell::Refusal::ambiguous:
      break;
  }
  return {404, refused.line};
}

/// Does the newest round say what came of it? Nothing: it has not taken it up yet.
std::optional<Reply> outcome(const Published& published, const Doorbell::Noted& noted, const std::string& member) {
  if (published.seen < noted.version) return std::nullopt;
  const auto& clusters = published.clusters;
  const auto cluster = std::find_if(clusters.begin(), clusters.end(), [&](const auto& c) { return c.scope == noted.scope; });
  if (cluster == clusters.end()) return Reply{503, "the cluster is no longer configured"};
  const Topology& topology = cluster->topology;
  if (topology.writer && topology.members[*topology.writer].name != member) {
    return Reply{200, member + " is not the writer: nothing to hold"};
  }
  if (published.observe) return Reply{503, "not held: pointsman only observes"};
  if (!published.haproxy_error.empty()) return Reply{503, "not held: " + published.haproxy_error};
  if (cluster->holds.empty()) return Reply{503, "not held: HAProxy has no hold.lua"};
  if (cluster->hold_in_force) return Reply{200, kHeld};
  if (cluster->hold == HoldReason::none) return Reply{503, "not held: an earlier announcement came to nothing"};
  return std::nullopt;
}

}  // namespace

Reply ring_hold(Doorbell& doorbell, const std::string& scope, const std::string& member) {
  if (member.empty()) return {400, "say who is about to stop: /hold?member=NAME"};
  const auto noted = doorbell.announce_stop(scope, member);
  if (!noted) return refused(noted.error());
  const Doorbell::Waiting waiting(doorbell);
  if (!waiting.may()) return {503, "announced; what comes of it is not known, since too many wait to hear that already"};
  const Instant until = haproxy::BootClock::now() + kHoldAnswer;
  Bulletin::Posted published = doorbell.bulletin().read();
  do {
    const auto reply = published ? outcome(*published, *noted, member) : std::nullopt;
    if (reply && reply->line == kHeld) std::this_thread::sleep_until(std::min(until, haproxy::BootClock::now() + kLetEnd));
    if (reply) return *reply;
    published = doorbell.bulletin().read_after(published, until);
  } while (haproxy::BootClock::now() < until);
  return {503, fmt::format("not held within {} ms", kHoldAnswer.count())};
}

Reply ring_nudge(Doorbell& doorbell, const std::string& scope) {
  const auto asked = doorbell.nudge(scope);
  return asked ? Reply{200, "the members are asked"} : refused(asked.error());
}

haproxy::Result<Gate> Gate::open(const HttpConfig& http) {
  Gate gate;
  gate.loopback_ = http.address == "::1" || http.address.starts_with("127.");
  if (http.token_file.empty()) return gate;
  std::ifstream in(http.token_file);
  const bool read = static_cast<bool>(std::getline(in, gate.token_));
  if (gate.token_.ends_with('\r')) gate.token_.pop_back();
  if (!read || gate.token_.empty()) {
    return haproxy::fail("read", http.token_file.string(), "there is no token in it, or it may not be read",
                         "write one line, readable for the user that pointsman runs as");
  }
  return gate;
}

std::optional<Reply> Gate::refuse(std::string_view authorization) const {
  if (token_.empty()) {
    if (loopback_) return std::nullopt;
    return Reply{403, "beyond loopback this needs http.token_file"};
  }
  const std::string wanted = "Bearer " + token_;
  // All of it is compared, so that the time tells nothing.
  unsigned different = authorization.size() == wanted.size() ? 0U : 1U;
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    const char given = i < authorization.size() ? authorization[i] : '\0';
    different |= static_cast<unsigned>(static_cast<unsigned char>(given) ^ static_cast<unsigned char>(wanted[i]));
  }
  if (different == 0) return std::nullopt;
  return Reply{401, "wrong token, or none (Authorization: Bearer TOKEN)"};
}

}  // namespace controller
