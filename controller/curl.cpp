#include "controller/curl.h"

#include <fmt/format.h>

#include <fstream>

namespace controller {
namespace {

std::string bracketed(const std::string& host) {
  return host.find(':') != std::string::npos ? "[" + host + "]" : host;
}

void set_up_tls(Easy& easy, const MemberUrl& url, const Tls& tls) {
  CURL* const curl = easy.curl;
  curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, tls.verify ? 1L : 0L);
  curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, tls.verify ? 2L : 0L);
  curl_easy_setopt(curl, CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
  curl_easy_setopt(curl, CURLOPT_SSL_ENABLE_ALPN, 0L);
  curl_easy_setopt(curl, CURLOPT_CA_CACHE_TIMEOUT, 600L);
  if (!tls.ca.empty()) {
    curl_easy_setopt(curl, CURLOPT_CAINFO, tls.ca.c_str());
    curl_easy_setopt(curl, CURLOPT_CAPATH, nullptr);
  }
  if (!tls.cert.empty()) curl_easy_setopt(curl, CURLOPT_SSLCERT, tls.cert.c_str());
  if (!tls.key.empty()) curl_easy_setopt(curl, CURLOPT_SSLKEY, tls.key.c_str());
  if (!tls.key_password_file.empty()) {
    const auto password = read_secret(tls.key_password_file, "the key's password");
    if (!password) easy.trouble = "cannot read the key's password from " + tls.key_password_file.string();
    curl_easy_setopt(curl, CURLOPT_KEYPASSWD, password.value_or("").c_str());
  }
  if (tls.server_name.empty()) return;
  easy.base = fmt::format("https://{}:{}", tls.server_name, url.port);
  easy.connect_to = curl_slist_append(nullptr, fmt::format("::{}:{}", bracketed(url.host), url.port).c_str());
  curl_easy_setopt(curl, CURLOPT_CONNECT_TO, easy.connect_to);
}

}  // namespace

Easy::~Easy() {
  if (curl != nullptr) curl_easy_cleanup(curl);
  curl_slist_free_all(connect_to);
}

void set_up(Easy& easy, const MemberUrl& url, const Tls& tls) {
  CURL* const curl = easy.curl = curl_easy_init();
  if (curl == nullptr) {
    easy.trouble = "no memory for a request";
    return;
  }
  easy.base = url.url;
  curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, easy.error.data());
  curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(curl, CURLOPT_QUICK_EXIT, 1L);
  curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
  curl_easy_setopt(curl, CURLOPT_PROXY, "");
  curl_easy_setopt(curl, CURLOPT_NETRC, static_cast<long>(CURL_NETRC_IGNORED));
  curl_easy_setopt(curl, CURLOPT_USERAGENT, "pointsman");
  curl_easy_setopt(curl, CURLOPT_DNS_CACHE_TIMEOUT, 30L);
  if (url.https) set_up_tls(easy, url, tls);
}

CURLM* new_multi() {
  static const CURLcode started = curl_global_init(CURL_GLOBAL_DEFAULT);
  CURLM* const multi = started == CURLE_OK ? curl_multi_init() : nullptr;
  if (multi != nullptr) curl_multi_setopt(multi, CURLMOPT_PIPELINING, static_cast<long>(CURLPIPE_NOTHING));
  return multi;
}

bool died_under_tls(std::string_view words) {
  for (const char* const sign : {"SSL_ERROR_SYSCALL", "unexpected eof", "reset by peer"}) {
    if (words.find(sign) != std::string_view::npos) return true;
  }
  return false;
}

Result<std::string> read_secret(const std::filesystem::path& file, const std::string& what) {
  std::string line;
  std::ifstream in(file);
  if (!std::getline(in, line)) return haproxy::fail("read", fmt::format("{} from {}", what, file.string()), "no line comes");
  if (line.ends_with('\r')) line.pop_back();
  return line;
}

}  // namespace controller
