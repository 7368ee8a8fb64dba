#include "controller/status.h"

#include <fmt/core.h>

#include <algorithm>
#include <iterator>
#include <utility>
#include <vector>

#include "controller/status_view.h"

namespace controller {

namespace {

/// Columns as wide as their widest cell, two blanks apart; the last one is not filled up.
class Table {
 public:
  explicit Table(std::vector<std::string> head, std::vector<std::size_t> right = {}) : right_(std::move(right)) {
    rows_.push_back(std::move(head));
  }
  void add(std::vector<std::string> row) { rows_.push_back(std::move(row)); }
  [[nodiscard]] std::string text() const {
    std::vector<std::size_t> widths(rows_[0].size());
    for (const auto& row : rows_)
      for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
    std::string out;
    for (const auto& row : rows_) {
      std::string line = " ";
      for (std::size_t i = 0; i < row.size(); ++i) {
        const bool right = std::find(right_.begin(), right_.end(), i) != right_.end();
        line += right ? fmt::format(" {:>{}} ", row[i], widths[i]) : fmt::format(" {:<{}} ", row[i], widths[i]);
      }
      line.erase(line.find_last_not_of(' ') + 1);
      out += line + "\n";
    }
    return out;
  }

 private:
  std::vector<std::size_t> right_;
  std::vector<std::vector<std::string>> rows_;
};

std::string for_people(double seconds) {
  if (seconds < 0) return "0 ms";
  if (seconds < 1) return fmt::format("{:.0f} ms", seconds * 1000);
  if (seconds < 10) return fmt::format("{:.1f} s", seconds);
  if (seconds < 120) return fmt::format("{:.0f} s", seconds);
  if (seconds < 7200) return fmt::format("{:.0f} min", seconds / 60);
  return fmt::format("{:.0f} h", seconds / 3600);
}

std::string for_people(std::uint64_t bytes) {
  constexpr const char* kUnits[] = {"B", "kB", "MB", "GB", "TB"};
  double value = static_cast<double>(bytes);
  std::size_t unit = 0;
  while (value >= 1024 && unit + 1 < std::size(kUnits)) {
    value /= 1024;
    ++unit;
  }
  return unit == 0 ? fmt::format("{} B", bytes) : fmt::format("{:.{}f} {}", value, value < 10 ? 1 : 0, kUnits[unit]);
}

std::string answered(const ShownMember& member) {
  if (member.silent_for) return fmt::format("silent for {} ({})", for_people(*member.silent_for), member.silent_why);
  if (member.answered_ago) return for_people(*member.answered_ago) + " ago";
  return "not asked yet";
}

/// HAProxy's side first; what it should be where it is otherwise.
std::string in_or_out(const ShownServer& server) {
  std::string is = server.usable ? "in" : server.admin == "drain" ? "drain" : "out";
  if (server.backup) is += " (backup)";
  const std::string& wanted = server.wanted.place;
  const bool differs = server.usable ? wanted == "out" || wanted == "drain" : wanted == "in";
  return differs ? fmt::format("{}, wanted {}", is, wanted) : is;
}

std::string cluster_text(const ShownCluster& cluster) {
  const auto answering = std::count_if(cluster.members.begin(), cluster.members.end(),
                                       [](const ShownMember& m) { return m.answered_ago && !m.silent_for; });
  std::string out = fmt::format("scope {}: {} ({}), {} of {} members answer{}\n", cluster.scope,
                                cluster.writer ? "writer " + *cluster.writer : "no writer", cluster.writer_state, answering,
                                cluster.members.size(), cluster.routes_right ? "" : "; HAProxy does not route as it should");
  Table members({"MEMBER", "ROLE", "STATE", "TL", "LAG", "ANSWERED"}, {3, 4});
  for (const ShownMember& member : cluster.members) {
    members.add({member.name, member.role.value_or("-"), member.state.value_or("-"),
                 member.timeline ? fmt::format("{}", *member.timeline) : "-",
                 member.lag_bytes ? for_people(*member.lag_bytes) : "-", answered(member)});
  }
  out += members.text();
  if (!cluster.servers.empty()) {
    Table servers({"BACKEND", "SERVER", "IN/OUT", "STEERED BY", "SESSIONS", "REASON"}, {4});
    for (const ShownServer& server : cluster.servers) {
      servers.add({server.backend, server.server, in_or_out(server), server.steering.empty() ? "-" : server.steering,
                   fmt::format("{}", server.sessions), server.wanted.reason});
    }
    out += servers.text();
  }
  if (cluster.watching == false) out += fmt::format("  the DCS is not watched: {}\n", cluster.watch_trouble);
  for (const ShownHold& hold : cluster.holds) {
    if (hold.waiting == 0 && hold.left <= 0) continue;
    out += fmt::format("  {}: {} new connections wait{}\n", hold.backend, hold.waiting,
                       hold.left > 0 ? fmt::format(" ({}, {} more)", cluster.hold, for_people(hold.left)) : "");
  }
  return out;
}

std::string head_text(const StatusView& view) {
  std::string out = fmt::format("pointsman {}, {}, {} old; ", view.version, view.source, for_people(view.age));
  out += view.haproxy_version.empty() ? std::string("HAProxy not seen")
                                      : fmt::format("HAProxy {}, pid {}", view.haproxy_version, view.haproxy_pid);
  out += fmt::format(", method {}\n", view.method);
  if (view.observe) out += "observe: everything is judged, nothing is sent\n";
  return out;
}

bool is_called(const ShownServer& server, const ShownMember* member, std::string_view name) {
  return name == server.server || name == fmt::format("{}/{}", server.backend, server.server) ||
         (member != nullptr && (name == member->name || name == member->url));
}

const ShownMember* member_of(const ShownServer& server, const ShownCluster& cluster) {
  const auto found = std::find_if(cluster.members.begin(), cluster.members.end(), [&](const ShownMember& member) {
    return !server.member.empty() && member.name == server.member;
  });
  return found == cluster.members.end() ? nullptr : &*found;
}

/// Topology's reasons in a few words more; a daemon of another version may know others.
std::string_view meaning(std::string_view reason) {
  static constexpr std::pair<std::string_view, std::string_view> kMeanings[] = {
      {"claims_writer", "it holds the lock, is primary and runs"},
      {"kept_locked", "it is silent; another member sees the cluster locked"},
      {"kept_paused", "it is silent; another member reports pause and streams from it"},
      {"kept_silent", "it is silent for less than keep_silent"},
      {"holding", "it denies softly, for a second at most"},
      {"other_is_writer", "somebody else is the writer"},
      {"not_running", "its PostgreSQL is not running"},
      {"not_primary", "its role is not primary"},
      {"lock_lost", "it is primary without the lock, for longer than a hold"},
      {"disputed", "several claim, and nothing settles it"},
      {"promoting", "it has the lock and is not writable yet"},
      {"wrong_scope", "it answers for another cluster"},
      {"wrong_system", "it has another system identifier"},
      {"no_claim", "it does not claim to be the writer"},
      {"let_go", "it is silent for too long: left to HAProxy's own check"},
      {"silent", "it does not answer: nobody's wish"},
      {"unseen", "it was not asked yet"},
      {"reads", "it is a running replica"},
      {"fallback", "it is the writer, and no reader is left"},
      {"not_replica", "it is no replica"},
      {"noloadbalance", "it is tagged so"},
      {"wrong_timeline", "it is not on the writer's timeline"},
      {"not_streaming", "it does not stream"},
      {"lagging", "it is over max_lag"},
      {"no_member", "it is no member's"},
      {"operators_hand", "somebody else has set it to maint or drain"}};
  const auto* const found =
      std::find_if(std::begin(kMeanings), std::end(kMeanings), [&](const auto& each) { return each.first == reason; });
  return found == std::end(kMeanings) ? std::string_view() : found->second;
}

std::string verdict_text(const ShownVerdict& verdict) {
  return fmt::format("{}, {} ({})", verdict.place, verdict.reason, verdict.evidence);
}

std::string why_text(const ShownServer& server, const ShownMember* member, const ShownCluster& cluster) {
  std::string out = fmt::format("{}/{} ({}), {} of scope {}\n", server.backend, server.server,
                                server.address.empty() ? "no address" : server.address,
                                member == nullptr ? "no member" : "member " + member->name, cluster.scope);
  const std::string steering = server.steering == "nobody" ? "nobody steers it" : "steered by " + server.steering;
  out += fmt::format("  in HAProxy  {}: {}, {}, {} sessions{}, {}\n", server.usable ? "in" : "out", server.admin,
                     server.operational, server.sessions, server.maxconn > 0 ? fmt::format(" of {}", server.maxconn) : "",
                     steering);
  const std::string_view words = meaning(server.wanted.reason);
  out += fmt::format("  wanted      {}, {}{}{}\n", server.wanted.place, server.wanted.reason, words.empty() ? "" : ": ", words);
  out += fmt::format("  because     {}\n", server.wanted.evidence);
  if (member != nullptr) {
    out += fmt::format("  member      {}, {}, timeline {}, lag {}, {}\n", member->role.value_or("no role told"),
                       member->state.value_or("no state told"), member->timeline ? fmt::format("{}", *member->timeline) : "-",
                       member->lag_bytes ? for_people(*member->lag_bytes) : "-", answered(*member));
    out += "  writes      " + verdict_text(member->write) + "\n";
    out += "  reads       " + verdict_text(member->read) + "\n";
  }
  out += fmt::format("  cluster     {} ({}), {} claim{} to be it\n", cluster.writer ? "writer " + *cluster.writer : "no writer",
                     cluster.writer_state, cluster.claims, cluster.claims == 1 ? "s" : "");
  if (cluster.hold != "none") out += fmt::format("  hold        new connections wait ({})\n", cluster.hold);
  for (const std::string& alarm : cluster.alarms) out += "  alarm       " + alarm + "\n";
  return out;
}

haproxy::Result<std::string> why_text(const StatusView& view, std::string_view name) {
  std::string out = head_text(view);
  if (!view.haproxy_error.empty()) out += "HAProxy: " + view.haproxy_error + "\n";
  std::string known;
  bool found = false;
  for (const ShownCluster& cluster : view.clusters) {
    for (const ShownServer& server : cluster.servers) {
      known += fmt::format("{}{}/{}", known.empty() ? "" : ", ", server.backend, server.server);
      const ShownMember* member = member_of(server, cluster);
      if (!is_called(server, member, name)) continue;
      found = true;
      out += "\n" + why_text(server, member, cluster);
    }
  }
  if (found) return out;
  return haproxy::fail("explain", std::string(name), view.haproxy_error.empty() ? "nobody is called so" : view.haproxy_error,
                       known.empty() ? "no server is known" : "there are " + known);
}

std::string view_text(const StatusView& view) {
  std::string out = head_text(view);
  std::string alarms;
  if (!view.haproxy_error.empty()) alarms += "  HAProxy: " + view.haproxy_error + "\n";
  if (!view.journal_trouble.empty()) alarms += "  journal: " + view.journal_trouble + "\n";
  for (const ShownCluster& cluster : view.clusters) {
    out += '\n';
    out += cluster_text(cluster);
    for (const std::string& alarm : cluster.alarms) alarms += fmt::format("  scope {}: {}\n", cluster.scope, alarm);
  }
  if (!alarms.empty()) out += "\nALARMS\n" + alarms;
  return out;
}

}  // namespace

std::string status_text(const Published& published, Instant now, std::string_view source) {
  return view_text(status_view(published, now, source));
}

std::string status_json(const Published& published, Instant now, std::string_view source) {
  return render_status_json(status_view(published, now, source), published.counters);
}

haproxy::Result<std::string> status_text_from_json(std::string_view json) {
  const auto view = parse_status_json(json);
  if (!view) return tl::unexpected(view.error());
  return view_text(*view);
}

haproxy::Result<std::string> why_text(const Published& published, Instant now, std::string_view source,
                                      std::string_view server) {
  return why_text(status_view(published, now, source), server);
}

haproxy::Result<std::string> why_text_from_json(std::string_view json, std::string_view server) {
  const auto view = parse_status_json(json);
  if (!view) return tl::unexpected(view.error());
  return why_text(*view, server);
}

Readiness readiness(const Published& published, std::string_view scope, bool strict) {
  if (!published.haproxy_error.empty()) return {false, published.haproxy_error};
  bool found = false;
  for (const PublishedCluster& cluster : published.clusters) {
    if (!scope.empty() && cluster.scope != scope) continue;
    found = true;
    if (!cluster.routes_right) return {false, fmt::format("scope {}: HAProxy does not route as it should", cluster.scope)};
    if (strict && !cluster.writer_in) return {false, fmt::format("scope {}: the writer is not in", cluster.scope)};
  }
  if (!found) return {false, scope.empty() ? std::string("no cluster is known") : fmt::format("there is no scope {}", scope)};
  return {true, strict ? "HAProxy routes as it should, and the writer is in" : "HAProxy routes as it should"};
}

}  // namespace controller
