#include "controller/log.h"

#include <fmt/core.h>
#include <spdlog/formatter.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>
#include <sys/stat.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <memory>
#include <string>
#include <utility>

#include "controller/json.h"
#include "controller/parse_patroni.h"
#include "controller/when.h"

namespace controller {

namespace {

constexpr std::size_t kLongestMessage = 8000;

/// May change while other threads log: the logger itself may not be replaced under them.
std::atomic<LogFormat> g_format = LogFormat::text;

std::string utc(spdlog::log_clock::time_point at) {
  return utc_text(std::chrono::duration_cast<std::chrono::milliseconds>(at.time_since_epoch()).count());
}

std::string_view level_word(spdlog::level::level_enum level) {
  const auto word = spdlog::level::to_string_view(level);
  return {word.data(), word.size()};
}

/// One line for each message, whatever is in it.
class LineFormatter final : public spdlog::formatter {
 public:
  explicit LineFormatter(bool with_time) : with_time_(with_time) {}

  void format(const spdlog::details::log_msg& message, spdlog::memory_buf_t& out) override {
    const std::string what = printable({message.payload.data(), message.payload.size()}, kLongestMessage);
    std::string line;
    if (g_format == LogFormat::json) {
      JsonText json(false);
      json.begin_object();
      json.key("time").text(utc(message.time));
      json.key("level").text(level_word(message.level));
      json.key("message").text(what);
      json.end_object();
      line = json.take();
    } else {
      if (with_time_) line = utc(message.time) + " ";
      line += fmt::format("{:<5} {}", level_word(message.level), what);
    }
    line += '\n';
    out.append(line.data(), line.data() + line.size());
  }
  [[nodiscard]] std::unique_ptr<spdlog::formatter> clone() const override {
    return std::make_unique<LineFormatter>(with_time_);
  }

 private:
  bool with_time_;
};

/// Does standard error go to systemd's journal? The variable is inherited by those whose standard error goes elsewhere.
bool goes_to_journal() {
  const char* stream = std::getenv("JOURNAL_STREAM");
  struct stat file {};
  if (stream == nullptr || ::fstat(2, &file) != 0) return false;
  return fmt::format("{}:{}", file.st_dev, file.st_ino) == stream;
}

spdlog::level::level_enum spdlog_level(LogLevel level) {
  switch (level) {
    case LogLevel::debug:
      return spdlog::level::debug;
    case LogLevel::info:
      return spdlog::level::info;
    case LogLevel::warning:
      return spdlog::level::warn;
    case LogLevel::error:
      return spdlog::level::err;
  }
  return spdlog::level::info;
}

}  // namespace

void start_log(LogLevel level, LogFormat format) {
  g_format = format;
  [[maybe_unused]] static const bool made = [] {
    auto logger = std::make_shared<spdlog::logger>("pointsman", std::make_shared<spdlog::sinks::stderr_sink_mt>());
    logger->set_formatter(std::make_unique<LineFormatter>(!goes_to_journal()));
    logger->flush_on(spdlog::level::trace);
    spdlog::set_default_logger(std::move(logger));
    return true;
  }();
  spdlog::default_logger_raw()->set_level(spdlog_level(level));
}

}  // namespace controller
