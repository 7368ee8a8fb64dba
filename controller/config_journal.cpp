// journal

#include <fmt/core.h>

#include "controller/config_sections.h"

namespace controller {

JournalConfig read_journal(const std::optional<Entry>& entry, const std::filesystem::path& folder, Complaints& complaints) {
  constexpr std::uint64_t kLeast = std::uint64_t{1} << 20;
  constexpr std::uint64_t kMost = std::uint64_t{1} << 40;
  JournalConfig journal;
  journal.path = folder;
  if (!entry) return journal;
  if (entry->value.IsScalar() && (entry->value.Scalar() == "off" || entry->value.Scalar() == "false")) {
    journal.enabled = false;
    return journal;
  }
  if (!entry->value.IsMap()) {
    journal.path = read_path(*entry, complaints).value_or(journal.path);
    return journal;
  }
  const Section section(*entry, {"path", "keep"}, complaints);
  if (const auto path = section.find("path")) journal.path = read_path(*path, complaints).value_or(journal.path);
  const auto keep = section.find("keep");
  const auto bytes = keep ? read_size(*keep, complaints) : std::nullopt;
  if (!bytes) return journal;
  if (*bytes < kLeast || *bytes > kMost) {
    complaints.add(keep->mark(), fmt::format("'keep' is {}, out of range", shown(keep->value.Scalar())),
                   "write a size from 1MB to 1TB");
    return journal;
  }
  journal.keep_bytes = *bytes;
  return journal;
}

}  // namespace controller
