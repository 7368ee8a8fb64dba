#pragma once
// The seam to the file system: what must survive a crash goes through here.

#include <filesystem>
#include <string>
#include <string_view>

#include "haproxy/result.h"

namespace haproxy {

class Files {
 public:
  virtual ~Files() = default;
  /// The whole file, at most 16 MB. A file that is not there is an Error whose detail is exactly "no such file".
  [[nodiscard]] virtual Result<std::string> read(const std::filesystem::path& path) = 0;
  /// Replaces `path` so that a reader, and a crash at any moment, sees the old bytes or the new ones: a temporary in the same
  /// folder (its name starts with '.' and does not end in .cfg, so that HAProxy's `-f folder` passes over it), fsync, the old
  /// file's mode and owner (0640 for a new one; only root can keep a foreign owner), rename, fsync of the folder. Where `path`
  /// is a symbolic link, what it leads to is replaced. On failure the old file is untouched and the temporary is removed; only
  /// when the fsync of the folder fails, which its detail says, is the new file already there. What a writer that was killed
  /// left in the folder is removed first.
  [[nodiscard]] virtual Result<void> replace(const std::filesystem::path& path, std::string_view bytes) = 0;
};

class DiskFiles final : public Files {
 public:
  [[nodiscard]] Result<std::string> read(const std::filesystem::path& path) override;
  [[nodiscard]] Result<void> replace(const std::filesystem::path& path, std::string_view bytes) override;
};

}  // namespace haproxy
