#include "controller/transfer.h"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <new>
#include <string_view>

#include "controller/parse_patroni.h"

namespace controller {
namespace {

constexpr std::size_t kMostHeaderBytes = 65'536;
constexpr long kConnectWithinMs = 2000;
constexpr std::string_view kIndexHeader = "x-consul-index:";

bool starts_as(std::string_view line, std::string_view name) {
  return line.size() >= name.size() && std::equal(name.begin(), name.end(), line.begin(), [](char a, char b) {
           return a == (b >= 'A' && b <= 'Z' ? static_cast<char>(b + 32) : b);
         });
}

}  // namespace

Transfer::Transfer(CURLM* multi, const MemberUrl& url, const Tls& tls, bool& touched) : multi_(multi), touched_(touched) {
  set_up(easy_, url, tls);
  CURL* const curl = easy_.curl;
  if (multi == nullptr) easy_.trouble = "libcurl does not start";
  if (curl == nullptr) return;
  curl_easy_setopt(curl, CURLOPT_PRIVATE, this);
  curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, &Transfer::on_body);
  curl_easy_setopt(curl, CURLOPT_WRITEDATA, this);
  curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, &Transfer::on_header);
  curl_easy_setopt(curl, CURLOPT_HEADERDATA, this);
  curl_easy_setopt(curl, CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
  curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, kConnectWithinMs);
  curl_easy_setopt(curl, CURLOPT_TCP_KEEPALIVE, 1L);
  curl_easy_setopt(curl, CURLOPT_TCP_KEEPIDLE, 10L);
  curl_easy_setopt(curl, CURLOPT_TCP_KEEPINTVL, 2L);  // the kernel's 9 probes, which libcurl 7.88 cannot change
}

Transfer::~Transfer() {
  stop();
  curl_slist_free_all(headers_);
}

void Transfer::begin(const Request& request) {
  stop();
  ended_ = false;
  too_much_ = nullptr;
  failure_.clear();
  body_.clear();
  header_bytes_ = 0;
  consul_index_.reset();
  if (!easy_.trouble.empty()) return fail(easy_.trouble);
  curl_slist_free_all(headers_);
  headers_ = nullptr;
  for (const auto& header : request.headers) headers_ = curl_slist_append(headers_, header.c_str());
  CURL* const curl = easy_.curl;
  easy_.error[0] = '\0';
  curl_easy_setopt(curl, CURLOPT_URL, (easy_.base + request.path).c_str());
  if (request.post) {
    headers_ = curl_slist_append(headers_, "Content-Type: application/json");
    curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE, static_cast<long>(request.post->size()));
    curl_easy_setopt(curl, CURLOPT_COPYPOSTFIELDS, request.post->c_str());
  } else {
    curl_easy_setopt(curl, CURLOPT_HTTPGET, 1L);
  }
  curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers_);
  curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, static_cast<long>(request.timeout.count()));
  if (curl_multi_add_handle(multi_, curl) != CURLM_OK) return fail("libcurl does not take the request");
  under_way_ = true;
}

void Transfer::stop() {
  if (under_way_) curl_multi_remove_handle(multi_, easy_.curl);
  under_way_ = false;
}

bool Transfer::take_end() {
  const bool ended = ended_;
  ended_ = false;
  return ended;
}

int Transfer::code() const {
  long code = 0;
  if (easy_.curl != nullptr) curl_easy_getinfo(easy_.curl, CURLINFO_RESPONSE_CODE, &code);
  return static_cast<int>(code);
}

void Transfer::fail(const std::string& why) {
  ended_ = true;
  touched_ = true;
  failure_ = printable(why, 200);
}

void Transfer::end(CURL* curl, CURLcode code) {
  Transfer* self = nullptr;
  curl_easy_getinfo(curl, CURLINFO_PRIVATE, &self);
  self->stop();
  self->ended_ = true;
  self->touched_ = true;
  if (code == CURLE_OK) return;
  long number = 0;
  curl_easy_getinfo(curl, CURLINFO_OS_ERRNO, &number);
  if (self->too_much_ != nullptr) {
    self->fail(self->too_much_);
  } else if (code == CURLE_COULDNT_CONNECT && number != 0) {
    self->fail(std::strerror(static_cast<int>(number)));
  } else {
    self->fail(self->easy_.words(code));
  }
}

std::size_t Transfer::on_body(char* data, std::size_t size, std::size_t count, void* user) {
  auto& self = *static_cast<Transfer*>(user);
  const std::size_t bytes = size * count;
  self.touched_ = true;
  if (self.body_.size() + bytes > kMostBytes) {
    self.too_much_ = "over 1000000 bytes at once";
    return CURL_WRITEFUNC_ERROR;
  }
  try {
    self.body_.append(data, bytes);
  } catch (const std::bad_alloc&) {
    self.too_much_ = "no memory for what it says";
    return CURL_WRITEFUNC_ERROR;
  }
  return bytes;
}

std::size_t Transfer::on_header(char* data, std::size_t size, std::size_t count, void* user) {
  auto& self = *static_cast<Transfer*>(user);
  const std::size_t bytes = size * count;
  self.header_bytes_ += bytes;
  if (self.header_bytes_ > kMostHeaderBytes) {
    self.too_much_ = "a header over 64 kB";
    return CURL_WRITEFUNC_ERROR;
  }
  std::string_view line(data, bytes);
  if (!starts_as(line, kIndexHeader)) return bytes;
  line.remove_prefix(kIndexHeader.size());
  while (!line.empty() && line.front() == ' ') line.remove_prefix(1);
  while (!line.empty() && (line.back() == '\r' || line.back() == '\n' || line.back() == ' ')) line.remove_suffix(1);
  std::uint64_t number = 0;
  const auto [stop, error] = std::from_chars(line.data(), line.data() + line.size(), number);
  if (error == std::errc() && stop == line.data() + line.size()) self.consul_index_ = number;
  return bytes;
}

}  // namespace controller
