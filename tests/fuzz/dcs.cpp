// What etcd and Consul say.

#include <algorithm>

#include "controller/dcs.h"
#include "controller/parse_dcs.h"
#include "haproxy/address.h"
#include "tests/fuzz/fuzz.h"

namespace {

using namespace controller;
using fuzz::require;

bool may_be_name(const std::string& name) {
  return name.empty() || haproxy::is_name(name);
}

bool is_number(const std::string& text) {
  return !text.empty() && text.size() <= 20 && text.find_first_not_of("0123456789") == std::string::npos;
}

/// From the year 0 to 9999, in any zone.
bool is_time(std::int64_t at) {
  return at >= -62'167'219'200 - 86'400 && at <= 253'402'300'799 + 86'400;
}

bool look_at_key(const DcsKey& key) {
  const auto wish = parse_failover(key);
  if (!wish) {
    fuzz::require_sound(wish.error());
  } else if (*wish) {
    require(may_be_name((*wish)->from) && may_be_name((*wish)->to), "a switchover is between names");
    require(!(*wish)->from.empty() || !(*wish)->to.empty(), "a switchover names somebody");
    require(!(*wish)->at || is_time(*(*wish)->at), "a switchover's time is one");
    require((*wish)->id == key.id, "a switchover has the key's id");
  }
  KnownKeys known;
  for (int turn = 0; turn < 2; ++turn) {
    const auto leader = note_leader(known, 0, key);
    const auto failover = note_failover(known, 0, key);
    if (!leader) fuzz::require_sound(leader.error());
    require(may_be_name(known.leader.value_or("")), "the leader's name is one");
    require(turn == 0 || ((!leader || leader->empty()) && (!failover || failover->empty())), "the same again is no news");
  }
  return wish && *wish;
}

bool look_at_etcd(std::string_view input, const DcsPaths& paths) {
  const auto read = parse_etcd_read(input, paths);
  require(read ? read->revision > 0 : !fuzz::refused(read.error()), "a read has a revision");
  for (const auto& key : {read.value_or(EtcdRead()).leader, read.value_or(EtcdRead()).failover}) {
    if (!key) continue;
    require(is_number(key->id), "an id is a number");
    look_at_key(*key);
  }
  const auto line = parse_etcd_line(input, paths);
  require(line ? line->reason.empty() || fuzz::is_plain(line->reason) : !fuzz::refused(line.error()), "a reason is plain");
  const EtcdLine said = line.value_or(EtcdLine());
  for (const EtcdEvent& event : said.events) {
    if (event.key) look_at_key(*event.key);
  }
  const auto token = parse_etcd_token(input);
  require(token ? fuzz::is_plain(*token) && token->find(' ') == std::string::npos && token->size() <= 16'384
                : !fuzz::refused(token.error()),
          "a header can carry a token");
  const std::string complaint = etcd_complaint(input);
  require(complaint.empty() || fuzz::is_plain(complaint), "a complaint is plain");
  return read || line || token || !complaint.empty();
}

bool look_at_consul(std::string_view input) {
  const auto key = parse_consul_key(input);
  if (!key) return fuzz::refused(key.error());
  constexpr std::string_view kBlank = " \t\r\n";
  const auto first = input.find_first_not_of(kBlank);
  const auto last = input.find_last_not_of(kBlank);
  require(first != std::string_view::npos && input[first] == '[' && input[last] == ']', "one key in a list, and nothing else");
  require(is_number(key->id), "an id is a number");
  look_at_key(*key);
  return true;
}

}  // namespace

bool fuzz::look_at(std::string_view input) {
  bool understood = look_at_etcd(input, dcs_paths("/service", "main"));
  understood = look_at_consul(input) || understood;
  understood = look_at_key({std::string(input), "17"}) || understood;
  const auto at = parse_time(input);
  require(!at || is_time(*at), "a time is one");
  require(from_base64(base64(input)) == input, "base64 is read back");
  const auto bytes = from_base64(input);
  require(!bytes || base64(*bytes).size() == input.size(), "base64 is whole");
  const DcsPaths paths = dcs_paths(input.substr(0, input.size() / 2), input.substr(input.size() / 2));
  require(paths.leader.starts_with('/') && paths.leader.find("//") == std::string::npos, "a path has single slashes");
  require(is_plain(consul_request(paths.leader, 17, std::chrono::seconds(1))), "a request is one plain line");
  return understood || at || bytes;
}
