// status, why and check: they look, and touch nothing.

#include <fmt/core.h>

#include "controller/client.h"
#include "controller/commands.h"
#include "controller/examine.h"
#include "controller/journal_file.h"
#include "controller/log.h"
#include "controller/past.h"
#include "controller/publish.h"
#include "controller/session.h"
#include "controller/status.h"
#include "controller/when.h"

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

constexpr int kWrongUsage = 64;

int print(const haproxy::Result<std::string>& text) {
  if (!text) {
    fmt::print(stderr, "{}\n", text.error().text());
    return 1;
  }
  fmt::print("{}", *text);
  return 0;
}

int why_at(const Config& config, const Options& options) {
  const auto at = parse_when(options.at, unix_ms());
  if (!at || *at > unix_ms()) {
    fmt::print(stderr, "--at {}: {} (write 2026-01-31T12:34:56Z, 12:34 or \"10min ago\")\n", options.at,
               at ? "that is yet to come" : "no time");
    return kWrongUsage;
  }
  const auto files = journal_files(journal_path(config.journal.path, steering_socket(config)));
  const auto past = find_past(files, *at);
  if (!past) return print(tl::unexpected(past.error()));
  if (!*past) {
    return print(haproxy::fail("explain", options.server,
                               "no decision up to " + utc_text(*at) + " is in " + files.back().string(),
                               config.journal.enabled ? "" : "the configuration says journal: off"));
  }
  const DecisionEntry& decision = (*past)->decision;
  auto text = why_text(publish_past(decision), decision.evidence.now, "from the journal", options.server);
  if (text) *text = past_head(**past, *at) + *text + "\n" + past_tail(**past);
  return print(text);
}

}  // namespace

int why_command(const Options& options) {
  auto config = read_config(options.config);
  if (!config) return print_complaints(config.error());
  start_log(LogLevel::error, config->log_format);
  if (!options.at.empty()) return why_at(*config, options);
  if (const auto json = ask_daemon(config->http)) {
    // One of another version may say what is not understood here.
    if (status_text_from_json(*json)) return print(why_text_from_json(*json, options.server));
  }
  Session session(std::move(*config));
  session.await_first_answers();
  if (const auto preview = session.loop.preview(session.board.snapshot()); !preview)
    return print(tl::unexpected(preview.error()));
  return print(why_text(session.loop.published(), haproxy::BootClock::now(), "own look", options.server));
}

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
