// simulator SCRIPTS          all scripts of the folder, then random ones: seeds 1, 2, ... and a fresh one, until
// SIMULATOR_EVENTS
//                            (1,000,000) have happened
// simulator seed N           the story of one seed, line by line
// simulator script FILE      the story of one script
// simulator shrink FILE|N    the shortest script that fails as this one does
// simulator find FIRST       random seeds from there on, without end, until one fails
// Exits with 1 where an invariant was violated.

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <random>

#include <fmt/core.h>

#include "tests/simulator/shrink.h"

namespace {

using namespace simulator;

constexpr std::uint64_t kDefaultEvents = 1'000'000;
constexpr int kShrinkTries = 1500;

struct Sum {
  std::uint64_t events = 0;
  std::uint64_t commands = 0;
  std::uint64_t worlds = 0;
  Duration lived{};
};

std::optional<Script> read_script(const std::filesystem::path& path) {
  std::ifstream file(path);
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  std::string complaint = "is empty or cannot be read";
  auto script = text.empty() ? std::nullopt : parse_script(text, complaint);
  if (!script) fmt::print("{}: {}\n", path.string(), complaint);
  return script;
}

void print_shrunk(const Script& script, int invariant) {
  const Script small = shrink(script, invariant, kShrinkTries);
  const Outcome outcome = simulate(small);
  fmt::print("shrunk to {} events ({}: {}):\n\n{}\n", small.events.size(), outcome.violation->invariant,
             outcome.violation->text, render(small));
}

/// Says whether it held.
bool run_quietly(const Script& script, const std::string& name, Sum& sum) {
  const Outcome outcome = simulate(script);
  sum.events += outcome.events;
  sum.commands += outcome.commands;
  sum.lived += outcome.lasted;
  ++sum.worlds;
  if (!outcome.violation) return true;
  fmt::print("{}: invariant {} is violated after {:.3f} s: {}\n", name, outcome.violation->invariant,
             std::chrono::duration<double>(outcome.violation->at - kBegin).count(), outcome.violation->text);
  print_shrunk(script, outcome.violation->invariant);
  return false;
}

int tell_story(const Script& script) {
  fmt::print("{}\n", render(script));
  const Outcome outcome = simulate(script, [](const std::string& line) { fmt::print("{}\n", line); });
  fmt::print("{} events, {} commands\n", outcome.events, outcome.commands);
  return outcome.violation ? 1 : 0;
}

bool run_scripts(const std::filesystem::path& folder, Sum& sum) {
  std::vector<std::filesystem::path> paths;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) paths.push_back(entry.path());
  std::sort(paths.begin(), paths.end());
  bool good = true;
  for (const auto& path : paths) {
    const auto script = read_script(path);
    if (!script) {
      good = false;
      continue;
    }
    std::string complaint;
    if (parse_script(render(*script), complaint) != script) {
      fmt::print("{}: is not the same when printed and read again\n", path.string());
      good = false;
    }
    good = run_quietly(*script, path.filename().string(), sum) && good;
  }
  return good;
}

int run_all(const std::filesystem::path& folder) {
  const char* wish = std::getenv("SIMULATOR_EVENTS");
  const std::uint64_t most = wish != nullptr ? std::strtoull(wish, nullptr, 10) : kDefaultEvents;
  const auto begun = std::chrono::steady_clock::now();
  Sum sum;
  bool good = run_scripts(folder, sum);
  fmt::print("{} scripts\n", sum.worlds);
  const std::uint64_t fresh = std::random_device{}();
  fmt::print("the fresh seed is {}\n", fresh);
  good = run_quietly(random_script(fresh), fmt::format("seed {}", fresh), sum) && good;
  std::uint64_t seed = 0;
  while (sum.events < most && good) {
    ++seed;
    good = run_quietly(random_script(seed), fmt::format("seed {}", seed), sum);
  }
  const double took = std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count();
  fmt::print(
      "{} events, {} commands in {} worlds, {:.1f} h of theirs, {:.1f} s of ours: {:.0f} events a second; last seed {}\n",
      sum.events, sum.commands, sum.worlds, std::chrono::duration<double>(sum.lived).count() / 3600, took,
      static_cast<double>(sum.events) / took, seed);
  return good ? 0 : 1;
}

int find(std::uint64_t seed) {
  const auto begun = std::chrono::steady_clock::now();
  Sum sum;
  for (;; ++seed) {
    if (run_quietly(random_script(seed), fmt::format("seed {}", seed), sum)) continue;
    fmt::print("found after {} worlds, {} events, {:.1f} s\n", sum.worlds, sum.events,
               std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count());
    return 1;
  }
}

std::optional<Script> script_of(const std::string& word) {
  if (word.find_first_not_of("0123456789") == std::string::npos) return random_script(std::stoull(word));
  return read_script(word);
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> words(argv + 1, argv + argc);
  if (words.size() == 1) return run_all(words[0]);
  if (words.size() != 2) {
    fmt::print(stderr, "simulator SCRIPTS | seed N | script FILE | shrink FILE|N | find FIRST\n");
    return 64;
  }
  if (words[0] == "find") return find(std::stoull(words[1]));
  const auto script = script_of(words[1]);
  if (!script) return 64;
  if (words[0] != "shrink") return tell_story(*script);
  const Outcome outcome = simulate(*script);
  if (outcome.violation) print_shrunk(*script, outcome.violation->invariant);
  return outcome.violation ? 1 : 0;
}
