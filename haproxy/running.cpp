#include "haproxy/running.h"

#include <algorithm>

namespace haproxy {

const char* word(OperationalState state) {
  switch (state) {
    case OperationalState::stopped:
      return "stopped";
    case OperationalState::starting:
      return "starting";
    case OperationalState::running:
      return "running";
    case OperationalState::stopping:
      return "stopping";
  }
  return "?";
}

const Server* BackendState::find(std::string_view server) const {
  const auto found = std::find_if(servers.begin(), servers.end(), [&](const Server& s) { return s.name == server; });
  return found == servers.end() ? nullptr : &*found;
}

const BackendState* Running::find(std::string_view backend) const {
  const auto found = std::find_if(backends.begin(), backends.end(), [&](const BackendState& b) { return b.name == backend; });
  return found == backends.end() ? nullptr : &*found;
}

const Server* Running::find(std::string_view backend, std::string_view server) const {
  const BackendState* const found = find(backend);
  return found == nullptr ? nullptr : found->find(server);
}

}  // namespace haproxy
