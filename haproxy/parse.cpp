#include "haproxy/parse.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "haproxy/words.h"

namespace haproxy {
namespace {

constexpr std::string_view kInfoStart = "Name: ";
constexpr std::size_t kLongestId = 18;  // "0x", and an address of 64 bits

constexpr std::string_view kStateHeader =
    "# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight srv_iweight srv_time_since_last_change "
    "srv_check_status srv_check_result srv_check_health srv_check_state srv_agent_state bk_f_forced_id srv_f_forced_id "
    "srv_fqdn "
    "srv_port srvrecord srv_use_ssl srv_check_port";

/// One line of `show servers state`, columns as in kStateHeader. False where it has another form.
bool parse_state_line(std::string_view line, std::string_view& backend, Server& server) {
  enum Column { kBeName = 1, kId, kName, kIp, kOpState, kAdminState, kWeight, kCheckStatus = 10, kCheckResult, kCheckHealth };
  enum MoreColumns { kCheckState = 13, kPort = 18, kCheckPort = 21, kColumns };
  std::string_view words[kColumns];
  for (std::string_view& word : words) word = take_word(line);

  unsigned op_state = 0;
  unsigned check_state = 0;
  const bool numbers = to_number(words[kId], server.id) && to_number(words[kOpState], op_state) && op_state <= 3 &&
                       to_number(words[kAdminState], server.admin_state) && to_number(words[kWeight], server.weight) &&
                       to_number(words[kCheckStatus], server.check.status) &&
                       to_number(words[kCheckResult], server.check.result) &&
                       to_number(words[kCheckHealth], server.check.health) && to_number(words[kCheckState], check_state) &&
                       to_number(words[kPort], server.port) && to_number(words[kCheckPort], server.check.port);
  if (!numbers || words[kBeName].empty() || (is_name(words[kBeName]) && !is_name(words[kName]))) return false;

  backend = words[kBeName];
  server.name = words[kName];
  // "-" stands for an unresolved name and for a Unix socket alike: neither is an address that a member could have.
  if (std::optional<std::string> ip = parse_ip(words[kIp])) server.ip = *std::move(ip);
  server.op_state = static_cast<OperationalState>(op_state);
  server.check.enabled = (check_state & 2U) != 0 && (check_state & 4U) != 0;
  if (server.check.port == 0) server.check.port = server.port;
  return true;
}

/// Cuts the next CSV field off `rest`, up to and with the comma. Quotes stay on: the fields read here never have any.
/// `line_ended` becomes true with the last field of a line; a newline within quotes belongs to the field.
std::string_view take_field(std::string_view& rest, bool& line_ended) {
  std::size_t end = 0;
  if (rest.starts_with('"')) {
    // Doubled quotes look like the end of one quoted run and the start of the next.
    bool quoted = false;
    for (; end < rest.size() && (quoted || (rest[end] != ',' && rest[end] != '\n')); ++end) {
      if (rest[end] == '"') quoted = !quoted;
    }
  } else {
    while (end < rest.size() && rest[end] != ',' && rest[end] != '\n') ++end;
  }
  const std::string_view field = rest.substr(0, end);
  line_ended = end >= rest.size() || rest[end] == '\n';
  rest.remove_prefix(std::min(end + 1, rest.size()));
  return field;
}

/// Cuts the rest of a line off at once where no quotes are in it: most of a line's fields are of no interest. False where they
/// are.
bool take_plain_line(std::string_view& rest) {
  std::string_view after = rest;
  const std::string_view line = take_line(after);
  if (line.find('"') != std::string_view::npos) return false;
  rest = after;
  return true;
}

/// The columns of `show stat` that are read, in the order in which every version lists them.
enum StatColumn : std::size_t { kPxName, kSvName, kQcur, kScur, kSlim, kBck, kType, kRise, kFall, kStatColumns };
constexpr std::string_view kStatNames[kStatColumns] = {"# pxname", "svname", "qcur",       "scur",      "slim",
                                                       "bck",      "type",   "check_rise", "check_fall"};

/// Index of each of kStatNames in the header; false where one is missing.
bool find_columns(std::string_view& rest, std::size_t (&index)[kStatColumns]) {
  std::size_t found = 0;
  bool line_ended = rest.empty();
  for (std::size_t at = 0; !line_ended; ++at) {
    const std::string_view name = take_field(rest, line_ended);
    if (found < kStatColumns && name == kStatNames[found]) index[found++] = at;
    if (found == kStatColumns && !line_ended) {
      take_line(rest);
      line_ended = true;
    }
  }
  return found == kStatColumns;
}

/// Walks the servers in the order in which `show stat` names them, which is their own as long as nothing was reloaded between.
class InStep {
 public:
  explicit InStep(std::vector<BackendState>& backends) : backends_(backends) {}

  BackendState* find(std::string_view backend) {
    if (backend_ >= backends_.size() || backends_[backend_].name != backend) {
      const auto found = std::find_if(backends_.begin(), backends_.end(), [&](const auto& b) { return b.name == backend; });
      if (found == backends_.end()) return nullptr;
      backend_ = static_cast<std::size_t>(found - backends_.begin());
      next_ = 0;
    }
    return &backends_[backend_];
  }

  /// In the backend that was found last.
  Server* find_server(std::string_view server) {
    std::vector<Server>& servers = backends_[backend_].servers;
    for (std::size_t i = 0; i < servers.size(); ++i) {
      const std::size_t at = (next_ + i) % servers.size();
      if (servers[at].name != server) continue;
      next_ = at + 1;
      return &servers[at];
    }
    return nullptr;
  }

 private:
  std::vector<BackendState>& backends_;
  std::size_t backend_ = 0;
  std::size_t next_ = 0;
};

/// The value of " key=" up to the next space; nothing where the line has none.
std::optional<std::string_view> value_of(std::string_view line, std::string_view key) {
  const std::size_t at = line.find(key);
  if (at == std::string_view::npos) return std::nullopt;
  std::string_view rest = line.substr(at + key.size());
  return rest.substr(0, rest.find(' '));
}

/// Starts with `first` and ends with its first and only empty line.
Result<void> check_frame(std::string_view command, std::string_view first, std::string_view reply) {
  if (!reply.starts_with(first)) {
    return unexpected_reply(command, "\"" + std::string(first.substr(0, first.find('\n'))) + "\" first",
                            reply.substr(0, reply.find('\n')));
  }
  const std::size_t end = reply.find("\n\n");
  if (end == std::string_view::npos) return unexpected_reply(command, "an empty line at its end", "");
  const std::string_view more = reply.substr(end + 2);
  if (!more.empty()) return unexpected_reply(command, "nothing after the empty line", more.substr(0, more.find('\n')));
  return {};
}

}  // namespace

Result<Worker> parse_info(std::string_view reply) {
  constexpr std::string_view kCommand = "show info";
  if (const Result<void> frame = check_frame(kCommand, kInfoStart, reply); !frame) return tl::unexpected(frame.error());
  Worker worker;
  unsigned stopping = 0;
  unsigned seen = 0;
  for (std::string_view rest = reply; !rest.empty();) {
    const std::string_view line = take_line(rest);
    const auto is = [&](std::string_view key) { return line.starts_with(key); };
    const auto number = [&](std::string_view key, auto& value) { return to_number(line.substr(key.size()), value); };
    bool good = true;
    if (is("Version: ")) {
      worker.version = line.substr(9);
      good = std::all_of(worker.version.begin(), worker.version.end(), [](char c) { return c > ' ' && c <= '~'; });
      seen |= 1U;
    } else if (is("Pid: ")) {
      good = number("Pid: ", worker.pid) && worker.pid > 0;
      seen |= 2U;
    } else if (is("Stopping: ")) {
      good = number("Stopping: ", stopping);
      seen |= 4U;
    } else if (is("Start_time_sec: ")) {
      good = number("Start_time_sec: ", worker.start_time_sec) && worker.start_time_sec >= 0;
      seen |= 8U;
    }
    if (!good) return unexpected_reply(kCommand, "a number, or a version", line);
  }
  if (seen != 15U) return unexpected_reply(kCommand, "Version, Pid, Stopping and Start_time_sec", "not all of them");
  worker.stopping = stopping != 0;
  return worker;
}

Result<std::vector<BackendState>> parse_servers_state(std::string_view reply) {
  constexpr std::string_view kCommand = "show servers state";
  if (const Result<void> frame = check_frame(kCommand, "1\n", reply); !frame) return tl::unexpected(frame.error());
  std::string_view rest = reply.substr(2);
  if (const std::string_view header = take_line(rest); !header.starts_with(kStateHeader)) {
    return unexpected_reply(kCommand, "the columns of format 1", header);
  }
  std::vector<BackendState> backends;
  BackendState* backend = nullptr;
  for (;;) {
    const std::string_view line = take_line(rest);
    if (line.empty()) break;
    std::string_view name;
    Server server;
    if (!parse_state_line(line, name, server)) return unexpected_reply(kCommand, "a server in format 1", line);
    if (!is_name(name)) continue;  // no configuration may name one so: a backend of HAProxy's own, "<HTTPCLIENT>"
    if (backend == nullptr || backend->name != name) {
      const auto known = std::find_if(backends.begin(), backends.end(), [&](const BackendState& b) { return b.name == name; });
      backend = known != backends.end() ? &*known : &backends.emplace_back(BackendState{std::string(name), {}});
    }
    backend->servers.push_back(std::move(server));
  }
  const auto by_id = [](const Server& a, const Server& b) { return a.id < b.id; };
  for (BackendState& each : backends) {
    if (!std::is_sorted(each.servers.begin(), each.servers.end(), by_id)) {
      std::stable_sort(each.servers.begin(), each.servers.end(), by_id);
    }
  }
  return backends;
}

Result<void> merge_stat(std::string_view reply, std::vector<BackendState>& backends) {
  constexpr std::string_view kCommand = "show stat";
  std::string_view rest = reply;
  std::size_t index[kStatColumns] = {};
  if (!find_columns(rest, index)) {
    return unexpected_reply(kCommand, "a header with pxname, svname, qcur, scur, slim, bck, type, check_rise and check_fall",
                            reply.substr(0, reply.find('\n')));
  }
  if (!reply.ends_with("\n\n")) return unexpected_reply(kCommand, "an empty line at its end", "");
  InStep servers(backends);
  while (!rest.empty() && rest.front() != '\n') {
    const std::string_view line = rest;
    std::string_view fields[kStatColumns];
    std::size_t next = 0;
    bool line_ended = false;
    for (std::size_t at = 0; !line_ended; ++at) {
      const std::string_view field = take_field(rest, line_ended);
      if (next < kStatColumns && index[next] == at) fields[next++] = field;
      if (next == kStatColumns && !line_ended) line_ended = take_plain_line(rest);
    }
    if (next < kStatColumns) return unexpected_reply(kCommand, "as many fields as the header", line.substr(0, line.find('\n')));
    const bool is_server = fields[kType] == "2";
    if (!is_server && fields[kType] != "1") continue;  // a frontend's or a listener's
    BackendState* const backend = servers.find(fields[kPxName]);
    if (backend == nullptr) continue;
    const auto number = [](std::string_view text, auto& value) { return text.empty() || to_number(text, value); };
    unsigned queued = 0;
    if (!number(fields[kQcur], queued)) return unexpected_reply(kCommand, "a number in qcur", line.substr(0, line.find('\n')));
    backend->queued += queued;
    Server* const server = is_server ? servers.find_server(fields[kSvName]) : nullptr;
    if (server == nullptr) continue;
    unsigned backup = 0;
    if (!number(fields[kScur], server->sessions) || !number(fields[kSlim], server->maxconn) || !number(fields[kBck], backup) ||
        !number(fields[kRise], server->check.rise) || !number(fields[kFall], server->check.fall)) {
      return unexpected_reply(kCommand, "numbers in scur, slim, bck, check_rise and check_fall",
                              line.substr(0, line.find('\n')));
    }
    server->backup = backup != 0;
  }
  if (rest != "\n") return unexpected_reply(kCommand, "nothing after the empty line", rest.substr(0, rest.find('\n', 1)));
  return {};
}

Result<Look> split_look(std::string_view reply) {
  constexpr std::string_view kCommand = "show info; show servers state; show stat";
  constexpr std::string_view kStateStart = "\n\n1\n# be_id ";
  constexpr std::string_view kStatStart = "\n\n# pxname,";
  // In this order: only the last of the three holds text that a checked server has a hand in.
  if (!reply.starts_with(kInfoStart)) {
    return unexpected_reply(kCommand, "\"Name: \" first", reply.substr(0, reply.find('\n')));
  }
  const std::size_t state = reply.find(kStateStart);
  if (state == std::string_view::npos) return unexpected_reply(kCommand, "servers state, format 1", "");
  const std::size_t stat = reply.find(kStatStart, state + kStateStart.size());
  if (stat == std::string_view::npos) return unexpected_reply(kCommand, "\"# pxname,\"", "");
  return Look{reply.substr(0, state + 2), reply.substr(state + 2, stat - state), reply.substr(stat + 2)};
}

Result<bool> same_at_a_glance(std::string_view reply, const Running& last) {
  Result<std::vector<BackendState>> backends = parse_servers_state(reply);
  if (!backends) return tl::unexpected(std::move(backends.error()));
  for (BackendState& backend : *backends) {
    const BackendState* before = last.find(backend.name);
    if (before == nullptr) return false;
    backend.queued = before->queued;
    for (Server& server : backend.servers) {
      const Server* was = before->find(server.name);
      if (was == nullptr) return false;
      server.sessions = was->sessions;
      server.maxconn = was->maxconn;
      server.backup = was->backup;
      server.check.rise = was->check.rise;
      server.check.fall = was->check.fall;
    }
  }
  return *backends == last.backends;
}

Result<Running> parse_look(std::string_view reply) {
  const Result<Look> look = split_look(reply);
  if (!look) return tl::unexpected(look.error());
  Result<Worker> worker = parse_info(look->info);
  if (!worker) return tl::unexpected(std::move(worker.error()));
  Result<std::vector<BackendState>> backends = parse_servers_state(look->servers_state);
  if (!backends) return tl::unexpected(std::move(backends.error()));
  if (Result<void> merged = merge_stat(look->stat, *backends); !merged) return tl::unexpected(std::move(merged.error()));
  return Running{*std::move(worker), *std::move(backends)};
}

Result<std::vector<Session>> parse_sessions(std::string_view reply) {
  constexpr std::string_view kCommand = "show sess";
  if (reply == "\n") return std::vector<Session>();
  if (const Result<void> frame = check_frame(kCommand, "0x", reply); !frame) return tl::unexpected(frame.error());
  std::vector<Session> sessions;
  for (std::string_view rest = reply; !rest.empty();) {
    const std::string_view line = take_line(rest);
    if (line.empty()) continue;
    const std::size_t colon = line.find(':');
    const auto frontend = value_of(line, " fe=");
    const auto backend = value_of(line, " be=");
    const auto server = value_of(line, " srv=");
    const auto state = value_of(line, " scb=");
    const bool is_id = line.starts_with("0x") && colon > 2 && colon <= kLongestId &&
                       line.substr(2, colon - 2).find_first_not_of("0123456789abcdef") == std::string_view::npos;
    if (!is_id) return unexpected_reply(kCommand, "a session's address and a colon", line);
    // HAProxy's own (`peers`, SPOE, Lua: "proto=? ts=00 ...") have no server, and the CLI's has srv=<none>.
    if (!server || *server == "<none>") continue;
    if (!frontend || !backend || !state) return unexpected_reply(kCommand, "a session with fe=, be=, srv= and scb=", line);
    sessions.push_back(Session{std::string(line.substr(0, colon)), std::string(*frontend), std::string(*backend),
                               std::string(*server), state->starts_with("[8,")});
  }
  return sessions;
}

Result<Processes> parse_proc(std::string_view reply) {
  constexpr std::string_view kCommand = "show proc";
  if (const Result<void> frame = check_frame(kCommand, "#<PID>", reply); !frame) return tl::unexpected(frame.error());
  Processes processes;
  std::vector<Process>* section = nullptr;  // nothing: the master's row, or rows that are nobody's worker
  std::string_view rest = reply;
  take_line(rest);
  for (bool before_sections = true; !rest.empty();) {
    std::string_view line = take_line(rest);
    if (line.empty()) continue;
    if (line.starts_with('#')) {
      before_sections = false;
      section = line == "# workers" ? &processes.workers : line == "# old workers" ? &processes.old_workers : nullptr;
      continue;
    }
    const std::string_view whole = line;
    Process process;
    const bool good = to_number(take_word(line), process.pid) && process.pid > 0;
    const std::string_view type = take_word(line);
    if (!before_sections && section == nullptr) continue;
    if (!good || !to_number(take_word(line), process.reloads))
      return unexpected_reply(kCommand, "a pid, a type and a number of reloads", whole);
    if (section != nullptr) {
      section->push_back(process);
      continue;
    }
    if (type != "master") return unexpected_reply(kCommand, "the master's row first", whole);
    processes.master = process;
    std::string_view word = take_word(line);
    if (word == "[failed:") {
      std::string_view count = take_word(line);
      if (!count.ends_with(']') || !to_number(count.substr(0, count.size() - 1), processes.failed)) {
        return unexpected_reply(kCommand, "\"[failed: NUMBER]\"", whole);
      }
      take_word(line);  // the uptime
    }
    processes.version = take_word(line);
  }
  if (processes.master.pid == 0) return unexpected_reply(kCommand, "the master's row", "");
  return processes;
}

std::optional<std::string> complaint(std::string_view reply) {
  while (!reply.empty()) {
    std::string_view line = take_line(reply);
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.empty() || line.starts_with("held ")) continue;
    unsigned severity = 0;
    const std::size_t close = line.starts_with('[') ? line.find("]: ") : std::string_view::npos;
    if (close == std::string_view::npos || !to_number(line.substr(1, close - 1), severity)) return std::string(line);
    const std::string_view message = line.substr(close + 3);
    if (severity <= 3 || message.starts_with("Unknown command")) return std::string(message);
  }
  return std::nullopt;
}

}  // namespace haproxy
