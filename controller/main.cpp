// The command line.

#include <csignal>
#include <functional>

#include <curl/curl.h>
#include <CLI/CLI.hpp>

#include "controller/commands.h"
#include "controller/version.h"

namespace {

constexpr int kWrongUsage = 64;

struct Entry {
  const char* name;
  const char* about;
  int (*command)(const controller::Options&);
};

constexpr Entry kEntries[] = {
    {"run", "Steer HAProxy until told to stop (the daemon)", controller::run_command},
    {"once", "One round, for cron and timers", controller::once_command},
    {"plan", "Dry run: show what would be sent or written, as a diff", controller::plan_command},
    {"status", "Show clusters, members and servers, each with its reason", controller::status_command},
    {"why", "Explain one server's verdict with all the evidence", controller::why_command},
    {"replay", "Judge a journal's decisions again", controller::replay_command},
    {"check", "Validate the configuration, its HAProxy and the rights", controller::check_command},
    {"release", "Give back to HAProxy what pointsman holds", controller::release_command},
};

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"pointsman keeps HAProxy pointed at the right PostgreSQL servers of Patroni clusters", "pointsman"};
  app.set_version_flag("--version", std::string("pointsman ") + controller::kVersion);
  app.require_subcommand(1);
  controller::Options options;
  int (*chosen)(const controller::Options&) = nullptr;
  for (const Entry& entry : kEntries) {
    CLI::App* command = app.add_subcommand(entry.name, entry.about);
    command->add_option("--config", options.config, "The configuration file")->capture_default_str();
    if (entry.command == controller::status_command) command->add_flag("--json", options.json, "Print JSON");
    if (entry.command == controller::why_command) {
      command->add_option("server", options.server, "BACKEND/SERVER, a server, or a member by its name or URL")->required();
      command->add_option("--at", options.at, "As decided up to then: 2026-01-31T12:34:56Z, 12:34[:56] (UTC), \"10min ago\"");
    }
    if (entry.command == controller::replay_command) command->add_option("file", options.file, "The journal")->required();
    if (entry.command == controller::release_command)
      command->add_flag("--all", options.all, "Also free servers whose own check cannot tell roles");
    command->callback([&chosen, &entry] { chosen = entry.command; });
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : kWrongUsage;
  }
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);  // a limit on files is an error to be met, like a full disk
  curl_global_init(CURL_GLOBAL_DEFAULT);
  return chosen(options);
}
