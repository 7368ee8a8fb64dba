#pragma once
// Errors as values. An outcome that is expected is a value of its own type; an operation on the world that failed is an
// `Error`, which says what was tried, on what, what happened, and what to do about it. Nothing here throws.

#include <string>
#include <utility>

#include <tl/expected.hpp>

namespace haproxy {

struct Error {
  std::string operation;  ///< what was tried: "connect to", "replace", "reload"
  std::string subject;    ///< on what: a path, a URL, "pg_primary/pg1"
  std::string detail;     ///< what happened, in one line
  std::string hint;       ///< what to do about it; may be empty

  /// One line: "cannot OPERATION SUBJECT: DETAIL (HINT)".
  [[nodiscard]] std::string text() const {
    std::string line = "cannot " + operation + " " + subject + ": " + detail;
    if (!hint.empty()) line += " (" + hint + ")";
    return line;
  }
  friend bool operator==(const Error&, const Error&) = default;
};

template <class T>
using Result = tl::expected<T, Error>;

[[nodiscard]] inline tl::unexpected<Error> fail(std::string operation, std::string subject, std::string detail,
                                                std::string hint = {}) {
  return tl::unexpected(Error{std::move(operation), std::move(subject), std::move(detail), std::move(hint)});
}

}  // namespace haproxy
