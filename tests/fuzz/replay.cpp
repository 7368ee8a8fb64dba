// The main function of a target without libFuzzer: TARGET FOLDER [MUTATIONS]
// Looks at every file of the folder, and at so many mutations of each (default 100), the same ones each time. Each file must be
// understood, but for those named refused-. Where a statement is not true, the input is written into a file that is named.

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

#include "tests/fuzz/fuzz.h"

namespace {

namespace fs = std::filesystem;

std::string current;

void keep_current(int signal) {
  const std::string file = (fs::temp_directory_path() / fmt::format("pointsman-finding.{}", ::getpid())).string();
  std::ofstream(file, std::ios::binary) << current;
  fmt::print(stderr, "the input is in {}\n", file);
  std::signal(signal, SIG_DFL);
  std::raise(signal);
}

class Mutator {
 public:
  explicit Mutator(const std::vector<std::string>& seeds) : seeds_(seeds) {}

  std::string mutate(std::string text) {
    for (std::size_t steps = 1 + below(4); steps > 0; --steps) step(text);
    return text;
  }

 private:
  std::size_t below(std::size_t most) { return most == 0 ? 0 : random_() % most; }

  void step(std::string& text) {
    static const std::vector<std::string> kWords{
        std::string(1, '\0'), "\n",    " ",    "\"",   "{",    "}",        "[",       "]",        ",",      ":",  "-1", "70000",
        "4294967296",         "1e999", "null", "true", "\xff", "\xc2\x80", "\\ud800", "{{name}}", "<none>", "0x", "\r", ";"};
    const std::size_t at = below(text.size() + 1);
    const std::size_t length = std::min(below(20), text.size() - at);
    switch (below(6)) {
      case 0:
        text.erase(at, length);
        break;
      case 1:
        text.insert(at, kWords[below(kWords.size())]);
        break;
      case 2:
        if (at < text.size()) text[at] = static_cast<char>(random_());
        break;
      case 3:
        text.insert(below(text.size() + 1), text.substr(at, length));
        break;
      case 4: {
        const std::string& other = seeds_[below(seeds_.size())];
        const std::size_t from = below(other.size() + 1);
        text.replace(at, length, other.substr(from, below(200)));
        break;
      }
      default:
        text.resize(at);
    }
  }

  const std::vector<std::string>& seeds_;
  std::mt19937 random_{1};
};

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    fmt::print(stderr, "usage: {} FOLDER [MUTATIONS]\n", argv[0]);
    return 64;
  }
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(argv[1])) files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  std::vector<std::string> seeds;
  for (const auto& path : files) {
    std::ifstream file(path, std::ios::binary);
    seeds.emplace_back(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
  }
  std::signal(SIGABRT, keep_current);
  std::signal(SIGSEGV, keep_current);
  const unsigned long mutations = argc > 2 ? std::strtoul(argv[2], nullptr, 10) : 100;
  Mutator mutator(seeds);
  const auto look = [](std::string text) {
    current = std::move(text);
    return fuzz::look_at(current);
  };
  look("");
  for (std::size_t at = 0; at < seeds.size(); ++at) {
    const std::string& seed = seeds[at];
    if (!look(seed) && !files[at].filename().string().starts_with("refused-")) {
      fmt::print(stderr, "{} is not understood\n", files[at].string());
      return 1;
    }
    for (unsigned long i = 0; i < mutations; ++i) look(mutator.mutate(seed));
  }
  fmt::print("{} seeds, {} mutations of each\n", seeds.size(), mutations);
  return seeds.empty() ? 1 : 0;
}
