#pragma once
// Sections of the configuration that stand in a file of their own, or in several places. Pure.

#include "controller/config_yaml.h"

namespace controller {

[[nodiscard]] Tls read_tls(const Entry& entry, Complaints& complaints);

/// `backends[].ramp`.
[[nodiscard]] RampConfig read_ramp(const Entry& entry, Complaints& complaints);

/// `journal`; `folder`: where it is unless it says so.
[[nodiscard]] JournalConfig read_journal(const std::optional<Entry>& entry, const std::filesystem::path& folder,
                                         Complaints& complaints);

/// `clusters[].watch`; nothing, with complaints, where it does not say what to watch.
[[nodiscard]] std::optional<WatchConfig> read_watch(const Entry& entry, Complaints& complaints);

}  // namespace controller
