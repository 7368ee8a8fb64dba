#include "controller/examine.h"

#include <algorithm>

#include <fmt/format.h>
#include <unistd.h>

#include "haproxy/fragment.h"
#include "haproxy/steer.h"

namespace controller {
namespace {

using haproxy::To;

void examine_level(Session& session, To to, const std::string& socket, std::vector<Finding>& findings) {
  const auto level = session.socket.ask(to, "show cli level", haproxy::kExchange);
  if (!level) {
    findings.push_back({true, level.error().text()});
  } else if (level->find("admin") == std::string::npos) {
    findings.push_back(
        {true, fmt::format("the socket {} has no admin level: HAProxy would refuse every command (write `stats socket {} "
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
      findings.push_back({true, fmt::format("HAProxy has no backend {} with a server (named in line {}; it has: {})",
                                            backend.name, backend.line, there.empty() ? "none" : there)});
    }
  }
}

void examine_fragment(Session& session, std::vector<Finding>& findings) {
  const HaproxyConfig& config = session.config.haproxy;
  const auto folder = config.fragment.parent_path();
  if (access(folder.c_str(), W_OK | X_OK) != 0)
    findings.push_back(
        {true, fmt::format("cannot write in {}, the fragment's folder: it needs group write for the group that pointsman "
                           "runs in (chgrp haproxy {} && chmod g+w {})",
                           folder.string(), folder.string(), folder.string())});
  const auto preview = session.loop.preview(session.board.snapshot());
  if (!preview) {
    findings.push_back({true, preview.error().text()});
    return;
  }
  std::string bytes;
  if (preview->fragment) {
    bytes = preview->fragment->bytes;
  } else if (auto on_disk = session.files.read(config.fragment)) {
    bytes = std::move(*on_disk);
  } else {
    findings.push_back({false, fmt::format("the fragment {} is not there yet, and cannot be made before a writer is known",
                                           config.fragment.string())});
    return;
  }
  if (const auto valid = session.reload.validate(bytes); !valid) findings.push_back({true, valid.error().text()});
}

}  // namespace

std::vector<Finding> examine_haproxy(Session& session) {
  std::vector<Finding> findings;
  const HaproxyConfig& config = session.config.haproxy;
  if (!config.socket.empty()) examine_level(session, To::worker(), config.socket.string(), findings);
  if (!config.master_socket.empty()) {
    if (const auto proc = session.socket.ask(To::master(), "show proc", haproxy::kExchange); !proc)
      findings.push_back({true, proc.error().text()});
  } else {
    findings.push_back({false, "no `master_socket`: sessions that a reload leaves on an old worker cannot be ended"});
  }
  const auto running = haproxy::look(session.socket);
  if (!running) {
    if (findings.empty() || !findings.front().error) findings.push_back({true, running.error().text()});
    return findings;
  }
  examine_backends(session.config, *running, findings);
  if (!config.fragment.empty()) examine_fragment(session, findings);
  return findings;
}

std::vector<Finding> examine_members(Session& session) {
  std::vector<Finding> findings;
  const Snapshot seen = session.board.snapshot();
  for (const ClusterSnapshot& cluster : seen.clusters) {
    for (const Sighting& member : cluster.members) {
      if (member.silence)
        findings.push_back({false, fmt::format("member {} gives no answer: {} ({})", member.url,
                                               word(member.silence->latest.failure), member.silence->latest.detail)});
      const Answer* a = member.answer ? member.answer->answer() : nullptr;
      if (a != nullptr && a->scope != cluster.scope)
        findings.push_back({true, fmt::format("member {} is of scope {}, not {}: a wrong address, or a wrong `scope`",
                                              member.url, a->scope, cluster.scope)});
    }
  }
  const auto preview = session.loop.preview(seen);
  if (!preview) return findings;  // said already
  for (std::size_t c = 0; c < seen.clusters.size(); ++c) {
    for (const std::string& alarm : preview->decided.alarms[c])
      findings.push_back({true, seen.clusters[c].scope + ": " + alarm});
    for (const Decision& decision : preview->decided.decisions[c]) {
      if (!decision.member || decision.steering == haproxy::Steering::health) continue;
      findings.push_back(
          {false,
           fmt::format(
               "{}/{} is steered by admin state, since its own check cannot tell roles: if pointsman stops, HAProxy alone "
               "will not find the next writer (`option httpchk OPTIONS /primary` and `check port {}` would)",
               decision.backend, decision.server, seen.clusters[c].members[*decision.member].api_port)});
    }
  }
  return findings;
}

}  // namespace controller
