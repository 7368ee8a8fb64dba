#pragma once
// What the running HAProxy was started with: its command line, and the files that it names.

#include <chrono>
#include <filesystem>
#include <string>
#include <vector>

#include "haproxy/configured.h"
#include "haproxy/result.h"
#include "haproxy/talk.h"

namespace haproxy {

/// The words of `haproxy -c` for a HAProxy that runs with `command_line`: its -f and -C options and what follows `--`, in their
/// order; nothing else of it (a reload puts -sf PID... and -x FD before the rest). `working_directory` is where it runs, empty
/// where unknown; relative paths are then made absolute. Pure. An Error where the command line is not that of a HAProxy or
/// names no file.
[[nodiscard]] Result<std::vector<std::string>> check_words(const std::vector<std::string>& command_line,
                                                           const std::filesystem::path& working_directory);

/// check_words() of the running HAProxy: /proc/PID/cmdline of the master, or of the worker without one. `within`: for each of
/// two exchanges.
[[nodiscard]] Result<std::vector<std::string>> words_of_running(Talk& talk, std::chrono::milliseconds within);

/// Is a file of this name one that HAProxy reads of a folder?
[[nodiscard]] bool is_read_by_haproxy(const std::filesystem::path& name);

/// The files that these words name, in the order in which HAProxy reads them: of a folder its *.cfg, by name. They are read as
/// they are now, which may not be what HAProxy has loaded. An Error names the first that cannot be read.
[[nodiscard]] Result<std::vector<ConfigurationFile>> read_configuration(const std::vector<std::string>& words);

}  // namespace haproxy
