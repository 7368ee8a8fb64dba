// status and check: they look, and touch nothing.

#include <fmt/core.h>

#include "controller/client.h"
#include "controller/commands.h"
#include "controller/examine.h"
#include "controller/log.h"
#include "controller/session.h"
#include "controller/status.h"

namespace controller {
namespace {

/// The daemon's /status.json; nothing where none answers.
std::optional<std::string> ask_daemon(const HttpConfig& http) {
  if (!http.enabled) return std::nullopt;
  const std::string host = http.address == "0.0.0.0" ? "127.0.0.1" : http.address == "::" ? "::1" : http.address;
  const bool v6 = host.find(':') != std::string::npos;
  const MemberUrl daemon{fmt::format("http://{}{}{}:{}", v6 ? "[" : "", host, v6 ? "]" : "", http.port), false, host,
                         http.port};
  constexpr std::chrono::milliseconds kWithin{1000};
  Client client;
  client.begin(client.add(daemon, {}), "/status.json", kWithin);
  for (const Instant until = haproxy::BootClock::now() + 2 * kWithin; haproxy::BootClock::now() < until;) {
    client.work(kWithin);
    auto fetched = client.take();
    if (!fetched) continue;
    if (fetched->failure || fetched->code != 200) return std::nullopt;
    return std::move(fetched->body);
  }
  return std::nullopt;
}

}  // namespace

int status_command(const Options& options) {
  auto config = read_config(options.config);
  if (!config) return print_complaints(config.error());
  start_log(LogLevel::error, config->log_format);
  if (const auto json = ask_daemon(config->http)) {
    const auto text = status_text_from_json(*json);
    if (text) {
      fmt::print("{}", options.json ? *json : *text);
      return 0;
    }
  }
  Session session(std::move(*config));
  session.await_first_answers();
  const auto preview = session.loop.preview(session.board.snapshot());
  if (!preview) {
    fmt::print(stderr, "{}\n", preview.error().text());
    return 1;
  }
  const Instant now = haproxy::BootClock::now();
  const Published& published = session.loop.published();
  fmt::print("{}", options.json ? status_json(published, now, "own look") : status_text(published, now, "own look"));
  return 0;
}

int check_command(const Options& options) {
  auto config = read_config(options.config);
  if (!config) return print_complaints(config.error());
  start_log(LogLevel::error, config->log_format);
  Session session(std::move(*config));
  session.await_first_answers();
  auto findings = examine_haproxy(session);
  const auto members = examine_members(session);
  findings.insert(findings.end(), members.begin(), members.end());
  int exit_code = 0;
  for (const Finding& finding : findings) {
    fmt::print("{}: {}\n", word(finding.kind), finding.text);
    if (finding.kind == Finding::Kind::error) exit_code = 1;
  }
  if (exit_code == 0) fmt::print("{}: good\n", options.config.string());
  return exit_code;
}

}  // namespace controller
