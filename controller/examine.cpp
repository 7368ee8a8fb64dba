#include "controller/examine.h"

#include <algorithm>
#include <set>

#include <fmt/format.h>
#include <unistd.h>

#include "haproxy/configured.h"
#include "haproxy/fragment.h"
#include "haproxy/started.h"
#include "haproxy/steer.h"

namespace controller {
namespace {

using haproxy::To;
using Kind = Finding::Kind;

void examine_level(Session& session, To to, const std::string& socket, std::vector<Finding>& findings) {
  const auto level = session.socket.ask(to, "show cli level", haproxy::kExchange);
  if (!level) {
    findings.push_back({Kind::error, level.error().text()});
  } else if (level->find("admin") == std::string::npos) {
    findings.push_back(
        {Kind::error,
         fmt::format("the socket {} has no admin level: HAProxy would refuse every command (write `stats socket {} "
                     "mode 660 level admin` into its global section)",
                     socket, socket)});
  }
}

void examine_backends(const Config& config, const haproxy::Running& running, std::vector<Finding>& findings) {
  std::string there;
  for (const haproxy::BackendState& backend : running.backends) there += (there.empty() ? "" : ", ") + backend.name;
  for (const ClusterConfig& cluster : config.clusters) {
    for (const BackendConfig& backend : cluster.backends) {
      if (running.find(backend.name) != nullptr) continue;
      findings.push_back({Kind::error, fmt::format("HAProxy has no backend {} with a server (named in line {}; it has: {})",
                                                   backend.name, backend.line, there.empty() ? "none" : there)});
    }
  }
}

void examine_fragment(Session& session, std::vector<Finding>& findings) {
  const HaproxyConfig& config = session.config.haproxy;
  const auto folder = config.fragment.parent_path();
  if (access(folder.c_str(), W_OK | X_OK) != 0)
    findings.push_back(
        {Kind::error,
         fmt::format("cannot write in {}, the fragment's folder: it needs group write for the group that pointsman "
                     "runs in (chgrp haproxy {} && chmod g+w {})",
                     folder.string(), folder.string(), folder.string())});
  const auto preview = session.loop.preview(session.board.snapshot());
  if (!preview) {
    findings.push_back({Kind::error, preview.error().text()});
    return;
  }
  std::string bytes;
  if (preview->fragment) {
    bytes = preview->fragment->bytes;
  } else if (auto on_disk = session.files.read(config.fragment)) {
    bytes = std::move(*on_disk);
  } else {
    findings.push_back(
        {Kind::warning, fmt::format("the fragment {} is not there yet, and cannot be made before a writer is known",
                                    config.fragment.string())});
    return;
  }
  if (const auto valid = session.reload.validate(bytes); !valid) findings.push_back({Kind::error, valid.error().text()});
}

/// HAProxy 3.0.11 never frees a session that it kills while that is still connecting, and its client hangs; 2.6.12 and 3.2.26
/// do not. pointsman ends none of these, but `on-marked-down` does.
void examine_leak(Session& session, const haproxy::Running& running, std::vector<Finding>& findings) {
  if (!running.worker.version.starts_with("3.0.")) return;
  std::set<std::string> backends;
  for (const ClusterConfig& cluster : session.config.clusters) {
    for (const BackendConfig& backend : cluster.backends) {
      if (backend.serves == Serves::primary) backends.insert(backend.name);
    }
  }
  const std::string what = fmt::format(
      "HAProxy {} leaks for ever every session that `on-marked-down shutdown-sessions` ends while it is still connecting",
      running.worker.version);
  const auto files = haproxy::words_of_running(session.socket, haproxy::kExchange).and_then(haproxy::read_configuration);
  if (!files) {
    findings.push_back(
        {Kind::warning, fmt::format("{}: whether a server has that could not be looked up ({})", what, files.error().text())});
    return;
  }
  for (const haproxy::ConfiguredAt& at : haproxy::find_on_marked_down(*files, backends)) {
    const bool ours = !session.config.haproxy.fragment.empty() && at.path == session.config.haproxy.fragment;
    findings.push_back(
        {Kind::warning, fmt::format("{}:{}: {}: {} (pointsman ends the established ones itself), or use HAProxy 3.2", at.path,
                                    at.line, what, ours ? "set the backend's `server_options` without it" : "leave it out")});
  }
}

/// Where something is configured that only hold.lua can do, that it is not there is a warning, else a note.
void examine_holding(const Config& config, const haproxy::Running& running, std::vector<Finding>& findings) {
  if (running.holds) return;
  constexpr const char* kRemedy =
      "`lua-load /usr/share/pointsman/hold.lua` into HAProxy's global section, and into the write backend `tcp-request "
      "inspect-delay 60s` and `tcp-request content lua.hold`";
  std::string useless;
  for (const ClusterConfig& cluster : config.clusters) {
    const bool pre_hold = cluster.pre_hold != ClusterConfig{}.pre_hold;
    for (const char* key : {cluster.watch ? "watch" : "", cluster.hold ? "hold" : "", pre_hold ? "pre_hold" : ""}) {
      if (*key != '\0') useless += fmt::format("{}`{}` of {}", useless.empty() ? "" : ", ", key, cluster.scope);
    }
  }
  if (useless.empty()) {
    findings.push_back(
        {Kind::note,
         fmt::format("HAProxy has no hold.lua: while there is no writer, new connections are refused. With it they wait: {}",
                     kRemedy)});
  } else {
    findings.push_back({Kind::warning, fmt::format("HAProxy has no hold.lua, so that no connection waits in spite of {}: {}",
                                                   useless, kRemedy)});
  }
}

}  // namespace

const char* word(Finding::Kind kind) {
  switch (kind) {
    case Finding::Kind::note:
      return "note";
    case Finding::Kind::warning:
      return "warning";
    case Finding::Kind::error:
      return "error";
  }
  return "?";
}

std::vector<Finding> examine_haproxy(Session& session) {
  std::vector<Finding> findings;
  const HaproxyConfig& config = session.config.haproxy;
  if (!config.socket.empty()) examine_level(session, To::worker(), config.socket.string(), findings);
  if (!config.master_socket.empty()) {
    if (const auto proc = session.socket.ask(To::master(), "show proc", haproxy::kExchange); !proc)
      findings.push_back({Kind::error, proc.error().text()});
  } else {
    findings.push_back({Kind::warning, "no `master_socket`: sessions that a reload leaves on an old worker cannot be ended"});
  }
  const auto running = haproxy::look(session.socket);
  if (!running) {
    if (findings.empty() || findings.front().kind != Kind::error) findings.push_back({Kind::error, running.error().text()});
    return findings;
  }
  examine_backends(session.config, *running, findings);
  if (!config.fragment.empty()) examine_fragment(session, findings);
  examine_leak(session, *running, findings);
  examine_holding(session.config, *running, findings);
  return findings;
}

std::vector<Finding> examine_members(Session& session) {
  std::vector<Finding> findings;
  const Snapshot seen = session.board.snapshot();
  for (const ClusterSnapshot& cluster : seen.clusters) {
    for (const Sighting& member : cluster.members) {
      if (member.silence)
        findings.push_back({Kind::warning, fmt::format("member {} gives no answer: {} ({})", member.url,
                                                       word(member.silence->latest.failure), member.silence->latest.detail)});
      const Answer* a = member.answer ? member.answer->answer() : nullptr;
      if (a != nullptr && a->scope != cluster.scope)
        findings.push_back({Kind::error, fmt::format("member {} is of scope {}, not {}: a wrong address, or a wrong `scope`",
                                                     member.url, a->scope, cluster.scope)});
    }
  }
  const auto preview = session.loop.preview(seen);
  if (!preview) return findings;  // said already
  for (std::size_t c = 0; c < seen.clusters.size(); ++c) {
    for (const std::string& alarm : preview->decided.alarms[c])
      findings.push_back({Kind::error, seen.clusters[c].scope + ": " + alarm});
    for (const Decision& decision : preview->decided.decisions[c]) {
      if (!decision.member || decision.steering == haproxy::Steering::health) continue;
      findings.push_back(
          {Kind::warning,
           fmt::format(
               "{}/{} is steered by admin state, since its own check cannot tell roles: if pointsman stops, HAProxy alone "
               "will not find the next writer (`option httpchk OPTIONS /primary` and `check port {}` would)",
               decision.backend, decision.server, seen.clusters[c].members[*decision.member].api_port)});
    }
  }
  return findings;
}

}  // namespace controller
