#include "haproxy/started.h"

#include <algorithm>
#include <system_error>
#include <utility>

#include "haproxy/files.h"
#include "haproxy/parse.h"

namespace haproxy {

namespace fs = std::filesystem;

Result<std::vector<std::string>> check_words(const std::vector<std::string>& command_line, const fs::path& working_directory) {
  const auto refused = [&](std::string detail) {
    return fail("derive", "the check from HAProxy's command line", std::move(detail),
                "name the words that check the configuration in haproxy.validate");
  };
  if (command_line.empty() || fs::path(command_line[0]).filename().string().find("haproxy") == std::string::npos) {
    return refused(command_line.empty() ? "it is empty" : "that process is not a HAProxy: " + command_line[0]);
  }
  std::vector<std::string> words;
  std::vector<std::size_t> paths;  // which of the words are paths
  fs::path base = working_directory;
  std::string changed_to;
  const auto keep_path = [&](const std::string& path) {
    paths.push_back(words.size());
    words.push_back(path);
  };
  for (std::size_t i = 1; i < command_line.size();) {
    const std::string& option = command_line[i++];
    const char letter = option.size() > 1 ? option[1] : '\0';
    if (option == "--") {
      words.push_back(option);
      for (; i < command_line.size(); ++i) keep_path(command_line[i]);
    } else if (letter == 'f') {
      for (bool first = true; i < command_line.size() && (first || !command_line[i].starts_with('-')); ++i, first = false) {
        words.push_back("-f");
        keep_path(command_line[i]);
      }
    } else if (letter == 'C' && i < command_line.size()) {
      changed_to = command_line[i++];
    } else if (letter == 's') {
      while (i < command_line.size() && !command_line[i].starts_with('-')) ++i;  // pids
    } else if (option == "-cc" || std::string_view("nmNLpxS").find(letter) != std::string_view::npos) {
      ++i;
    }
  }
  if (paths.empty()) return refused("it names no file");
  // A HAProxy that was started with a relative -C is in that folder by now.
  if (fs::path(changed_to).is_relative() && !changed_to.empty() && !base.empty()) changed_to = base.string();
  if (fs::path(changed_to).is_absolute()) base = changed_to;
  if (!base.empty()) {
    for (const std::size_t i : paths) words[i] = (base / words[i]).string();
  }
  if (!changed_to.empty()) words.insert(words.begin(), {"-C", changed_to});
  const bool is_looked_up = command_line[0].find('/') == std::string::npos;
  words.insert(words.begin(), {is_looked_up ? command_line[0] : (working_directory / command_line[0]).string(), "-c"});
  return words;
}

Result<std::vector<std::string>> words_of_running(Talk& talk, std::chrono::milliseconds within) {
  int pid = 0;
  const auto processes =
      talk.ask(To::master(), "show proc", within).and_then([](const auto& reply) { return parse_proc(reply); });
  if (processes) {
    pid = processes->master.pid;
  } else if (const auto worker =
                 talk.ask(To::worker(), "show info", within).and_then([](const auto& reply) { return parse_info(reply); })) {
    pid = worker->pid;
  } else {
    return tl::unexpected(worker.error());
  }
  const fs::path process = fs::path("/proc") / std::to_string(pid);
  Result<std::string> bytes = DiskFiles().read(process / "cmdline");
  if (!bytes) {
    bytes.error().hint = "name the words that check the configuration in haproxy.validate";
    return tl::unexpected(std::move(bytes.error()));
  }
  std::vector<std::string> command_line;
  for (std::size_t at = 0, end; (end = bytes->find('\0', at)) != std::string::npos; at = end + 1) {
    command_line.push_back(bytes->substr(at, end - at));
  }
  std::error_code ignored;  // another user's working directory is not ours to read
  return check_words(command_line, fs::read_symlink(process / "cwd", ignored));
}

bool is_read_by_haproxy(const fs::path& name) {
  return name.extension() == ".cfg" && !name.string().starts_with('.');
}

Result<std::vector<ConfigurationFile>> read_configuration(const std::vector<std::string>& words) {
  std::vector<fs::path> paths;
  for (std::size_t i = 1; i < words.size(); ++i) {
    const bool rest = words[i] == "--";
    if (!rest && words[i] != "-f") continue;
    for (++i; i < words.size(); ++i) {
      std::error_code error;
      if (!fs::is_directory(words[i], error)) {
        paths.emplace_back(words[i]);
      } else {
        std::vector<fs::path> folder;
        for (fs::directory_iterator entry(words[i], error), end; !error && entry != end; entry.increment(error)) {
          if (is_read_by_haproxy(entry->path().filename())) folder.push_back(entry->path());
        }
        if (error) return fail("read the folder", words[i], error.message());
        std::sort(folder.begin(), folder.end());
        paths.insert(paths.end(), folder.begin(), folder.end());
      }
      if (!rest) break;
    }
  }
  std::vector<ConfigurationFile> files;
  for (const fs::path& path : paths) {
    Result<std::string> text = DiskFiles().read(path);
    if (!text) return tl::unexpected(std::move(text.error()));
    files.push_back({path.string(), std::move(*text)});
  }
  return files;
}

}  // namespace haproxy
