#pragma once
// Logging, through spdlog, to standard error: the journal's place under systemd.

#include <string_view>

#include "controller/config.h"

namespace controller {

/// Text: "info  WHAT" (no time under systemd, which adds its own: JOURNAL_STREAM; else ISO 8601 with milliseconds). Json: one
/// object a line with `time`, `level`, `message`. Any thread may log after this.
void start_log(LogLevel level, LogFormat format);

}  // namespace controller
