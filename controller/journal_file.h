#pragma once
// The journal on the disk: two files, so that the older half can go as a whole.

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "controller/journal.h"

namespace controller {

/// Of one HAProxy: "SOCKET-WITH-DASHES.journal" in the folder. The older half has ".1" after it.
[[nodiscard]] std::filesystem::path journal_path(const std::filesystem::path& folder, const std::filesystem::path& socket);
/// Both files, the older first, whether they are there or not.
[[nodiscard]] std::vector<std::filesystem::path> journal_files(const std::filesystem::path& path);

/// Appends to `path` up to half of `keep` bytes; then it becomes the older half, in the place of the one before. Both together
/// never have more than `keep`. A half line that a crash left is ended by a newline before the next is written, and one that a
/// full disk leaves is taken back. Mode 0640. A file that somebody has moved or removed is begun anew.
class JournalFile final : public Lines {
 public:
  JournalFile(std::filesystem::path path, std::uint64_t keep);
  ~JournalFile() override;
  JournalFile(const JournalFile&) = delete;
  JournalFile& operator=(const JournalFile&) = delete;

  [[nodiscard]] std::size_t longest() const override;
  [[nodiscard]] haproxy::Result<void> append(std::string_view line) override;
  [[nodiscard]] haproxy::Result<void> sync() override;

 private:
  [[nodiscard]] haproxy::Result<void> open();
  void close();
  /// Somebody has moved it, or another file is there.
  [[nodiscard]] bool is_elsewhere() const;
  [[nodiscard]] haproxy::Result<void> make_room(std::size_t bytes);

  std::filesystem::path path_;
  std::uint64_t keep_;
  int fd_ = -1;
  std::uint64_t size_ = 0;
  bool torn_ = false;  ///< its last line has no newline
};

/// The last whole line that is a decision's, as far as it is among the last megabyte; empty: there is none.
[[nodiscard]] std::string last_decision(const std::filesystem::path& file);

/// Reads line by line, `take(number, line)`, numbers from 1. A last line without a newline is one too. A line over
/// kLongestEntry comes cut to that. Error: cannot be read.
[[nodiscard]] haproxy::Result<void> each_line(const std::filesystem::path& file,
                                              const std::function<void(std::size_t, std::string_view)>& take);

}  // namespace controller
