#include "tests/haproxy/real_haproxy.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <thread>
#include <utility>

namespace tests {
namespace {

std::string converse(const std::filesystem::path& socket_path, std::string_view line) {
  const std::string path = socket_path.string();
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) return {};
  std::memcpy(address.sun_path, path.c_str(), path.size());
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const timeval patience{5, 0};
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  std::string reply;
  if (connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) {
    const std::string bytes = std::string(line) + "\n";
    if (::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(bytes.size())) {
      shutdown(fd, SHUT_WR);
      char buffer[4096];
      for (ssize_t n; (n = read(fd, buffer, sizeof buffer)) > 0;) reply.append(buffer, static_cast<std::size_t>(n));
    }
  }
  close(fd);
  return reply;
}

/// The number after "KEY: " at the start of a line of `show info`; -1 where there is none.
long info_number(const std::string& info, const std::string& key) {
  const std::size_t at = info.find("\n" + key + ": ");
  return at == std::string::npos ? -1 : std::atol(info.c_str() + at + key.size() + 3);
}

}  // namespace

RealHaproxy::RealHaproxy(std::string_view configuration, std::vector<std::string> extra_words, std::vector<File> files) {
  char pattern[] = "/tmp/pm-haproxy-XXXXXX";
  if (mkdtemp(pattern) == nullptr) throw std::runtime_error("cannot make a temporary folder");
  folder_ = pattern;
  try {
    write_config(configuration);
    for (const File& file : files) write(file.path, file.text);
    std::vector<std::string> words = {"haproxy", "-W", "-f", config().string()};
    for (const std::string& word : extra_words) words.push_back(expand(word));
    words.insert(words.end(), {"-S", master_socket().string()});
    start(std::move(words));
    const auto answers = [this] { return worker_pid() > 0 && !ask_master("show proc").empty(); };
    if (!await([&] { return !running() || answers(); }) || !running()) {
      throw std::runtime_error("HAProxy does not answer: " + log());
    }
  } catch (...) {
    stop();
    throw;
  }
}

RealHaproxy::~RealHaproxy() {
  stop();
}

void RealHaproxy::start(std::vector<std::string> words) {
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  const std::string output = (folder_ / "haproxy.log").string();
  const pid_t parent = getpid();
  master_ = fork();
  if (master_ < 0) throw std::runtime_error("cannot fork");
  if (master_ == 0) {
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent) _exit(127);
    const int log_fd = open(output.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
    const int null_fd = open("/dev/null", O_RDONLY);
    dup2(null_fd, 0);
    dup2(log_fd, 1);
    dup2(log_fd, 2);
    close_range(3, ~0U, 0);
    execvp(arguments[0], arguments.data());
    execv("/usr/sbin/haproxy", arguments.data());
    _exit(127);
  }
  setpgid(master_, master_);
}

bool RealHaproxy::running() {
  if (master_ > 0 && waitpid(master_, nullptr, WNOHANG) == master_) master_ = -1;
  return master_ > 0;
}

void RealHaproxy::stop() noexcept {
  if (master_ > 0) {
    kill(-master_, SIGKILL);
    while (waitpid(master_, nullptr, 0) < 0 && errno == EINTR) {
    }
  }
  master_ = -1;
  std::error_code ignored;
  std::filesystem::remove_all(folder_, ignored);
}

std::string RealHaproxy::expand(std::string_view text) const {
  constexpr std::string_view kFolder = "{folder}";
  std::string result(text);
  for (std::size_t at = 0; (at = result.find(kFolder, at)) != std::string::npos;) {
    result.replace(at, kFolder.size(), folder_.string());
  }
  return result;
}

void RealHaproxy::write(const std::string& path, std::string_view text) const {
  const std::filesystem::path target = folder_ / path;
  std::filesystem::create_directories(target.parent_path());
  std::ofstream file(target, std::ios::binary | std::ios::trunc);
  file << expand(text);
  if (!file.flush()) throw std::runtime_error("cannot write " + target.string());
}

void RealHaproxy::write_config(std::string_view configuration) const {
  write("haproxy.cfg", "global\n  stats socket {folder}/stats.sock mode 600 level admin\n" + std::string(configuration));
}

pid_t RealHaproxy::worker_pid() const {
  const std::string info = ask("show info");
  if (info_number(info, "Stopping") != 0) return 0;
  return static_cast<pid_t>(std::max(0L, info_number(info, "Pid")));
}

pid_t RealHaproxy::reload() {
  const pid_t before = worker_pid();
  kill(master_, SIGUSR2);
  pid_t now = 0;
  const bool done = await([&] {
    now = worker_pid();
    return now > 0 && now != before && !ask_master("show proc").empty();
  });
  if (!done) throw std::runtime_error("HAProxy did not reload: " + log());
  return now;
}

std::string RealHaproxy::ask(std::string_view line) const {
  return converse(stats_socket(), line);
}

std::string RealHaproxy::ask_master(std::string_view line) const {
  return converse(master_socket(), line);
}

std::string RealHaproxy::log() const {
  std::ifstream file(folder_ / "haproxy.log", std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

std::uint16_t free_port() {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  const bool bound = bind(fd, reinterpret_cast<const sockaddr*>(&address), size) == 0 &&
                     getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) == 0;
  close(fd);
  if (!bound) throw std::runtime_error("no free port");
  return ntohs(address.sin_port);
}

void nap() {
  std::this_thread::sleep_for(std::chrono::milliseconds(2));
}

}  // namespace tests
