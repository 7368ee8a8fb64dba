#pragma once
// What every handle of libcurl's is set up with here, whoever uses it: the client's and the watches'.

#include <curl/curl.h>

#include <array>
#include <filesystem>
#include <string>

#include "controller/config.h"

namespace controller {

/// One easy handle and what must live as long as it. It does not move.
struct Easy {
  CURL* curl = nullptr;
  curl_slist* connect_to = nullptr;
  std::string base;     ///< what the paths are appended to
  std::string trouble;  ///< why no request can be made; empty: one can
  std::array<char, CURL_ERROR_SIZE> error{};

  Easy() = default;
  ~Easy();
  Easy(const Easy&) = delete;
  Easy& operator=(const Easy&) = delete;

  /// libcurl's words for the last failure, as they came.
  [[nodiscard]] const char* words(CURLcode code) const { return error[0] != '\0' ? error.data() : curl_easy_strerror(code); }
};

/// http and https only, no redirect, no proxy, no file of the user's, no signal, names resolved on threads that are not waited
/// for at the end, verified TLS of 1.2 or later where the URL is https. Files of `tls` that cannot be read are in `trouble`, or
/// fail the request.
void set_up(Easy& easy, const MemberUrl& url, const Tls& tls);

/// A multi handle; nullptr where libcurl does not start.
[[nodiscard]] CURLM* new_multi();

/// Whether TLS text tells of a connection that died under it, which libcurl reports as TLS's own failure.
[[nodiscard]] bool died_under_tls(std::string_view words);

/// A secret: the first line of a file.
[[nodiscard]] Result<std::string> read_secret(const std::filesystem::path& file, const std::string& what);

}  // namespace controller
