// Patroni's answers: /primary, /cluster, /config.

#include <algorithm>
#include <set>

#include "controller/parse_patroni.h"
#include "haproxy/address.h"
#include "tests/fuzz/fuzz.h"

namespace {

using namespace controller;
using fuzz::require;

const std::string kSubject = "http://10.0.0.11:8008/primary";
constexpr std::size_t kMostText = 255;

bool is_text(const std::string& text) {
  return text.size() <= kMostText &&
         std::none_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
}

bool is_host(const std::string& host) {
  return haproxy::parse_ip(host) == host || haproxy::is_host_name(host);
}

bool look_at_answer(int code, std::string_view body) {
  const auto answer = parse_answer(code, body, "Sun, 22 Nov 2026 04:46:47 GMT", kSubject);
  if (!answer) return fuzz::refused(answer.error());
  require(answer->code == code, "the code is the one that came");
  require(answer->date == 1795322807, "the date is the one that came");
  require(!answer->scope.empty() && is_text(answer->scope), "the scope is a text");
  require(answer->name.empty() || haproxy::is_name(answer->name), "the name may name a server");
  require(is_text(answer->version) && is_text(answer->postmaster_start_time), "version and start are texts");
  require(!answer->replication_state || (!answer->replication_state->empty() && is_text(*answer->replication_state)),
          "the replication state is a text");
  require(
      answer->system_identifier.size() <= 20 && answer->system_identifier.find_first_not_of("0123456789") == std::string::npos,
      "the system identifier is at most 20 digits");
  for (const WalSender& sender : answer->replication) {
    require(fuzz::is_ip_or_empty(sender.client_addr), "a sender's address is one, in its one spelling");
    require(sender.application_name.empty() || fuzz::is_plain(sender.application_name), "a sender's name is plain");
    require(sender.state.empty() || fuzz::is_plain(sender.state), "a sender's state is plain");
    require(sender.application_name.size() <= kMostText && sender.state.size() <= kMostText, "a sender's texts are short");
  }
  return true;
}

bool look_at_cluster(std::string_view body) {
  const auto report = parse_cluster(200, body, kSubject);
  if (!report) return fuzz::refused(report.error());
  std::set<std::string> names;
  for (const ListedMember& member : report->members) {
    require(haproxy::is_name(member.name), "a member's name may name a server");
    require(names.insert(member.name).second, "no two members have one name");
    require(member.host.empty() || is_host(member.host), "a host is an address in its one spelling, or a host name");
    require(member.host.empty() == (member.port == 0), "there is a port where there is a host");
    require(member.api_host.empty() || is_host(member.api_host), "the API's host is one");
    require(member.api_host.empty() == (member.api_port == 0), "the API's port is there where its host is");
  }
  return true;
}

bool look_at_timings(std::string_view body) {
  const auto timings = parse_timings(200, body, kSubject);
  if (!timings) return fuzz::refused(timings.error());
  for (const int seconds : {timings->ttl, timings->loop_wait}) require(seconds >= 1 && seconds <= 86400, "1 to 86400 seconds");
  return true;
}

}  // namespace

bool fuzz::look_at(std::string_view input) {
  bool understood = false;
  for (const int code : {200, 503}) understood = look_at_answer(code, input) || understood;
  require(!parse_answer(500, input, "", kSubject), "500 is no answer");
  understood = look_at_cluster(input) || understood;
  understood = look_at_timings(input) || understood;
  require(printable(input).size() <= 120 && (printable(input).empty() || is_plain(printable(input))), "printable() is");
  return understood;
}
