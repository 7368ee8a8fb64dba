#include "controller/parse_dcs.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <utility>

#include "controller/json.h"
#include "controller/parse_patroni.h"

namespace controller {
namespace {

using haproxy::fail;
using haproxy::Result;

constexpr const char* kEtcd = "etcd's answer";
constexpr const char* kWatch = "etcd's watch";
constexpr const char* kConsul = "Consul's answer";
constexpr std::string_view kAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr std::size_t kMostToken = 16'384;

/// A 64-bit number, which the gateway writes as text ("17"), and leaves out where it is 0. False where it is something else.
bool read_number(const rapidjson::Value& object, const char* key, std::uint64_t& number) {
  number = 0;
  const auto found = object.FindMember(key);
  if (found == object.MemberEnd()) return true;
  if (found->value.IsUint64()) {
    number = found->value.GetUint64();
    return true;
  }
  const auto text = json_string(object, key);
  if (!text) return false;
  const char* const end = text->data() + text->size();
  const auto [stop, error] = std::from_chars(text->data(), end, number);
  return error == std::errc() && stop == end;
}

/// A key and its value as etcd writes them.
struct EtcdPair {
  std::string path;
  DcsKey key;
  std::uint64_t revision = 0;
};

std::optional<EtcdPair> pair_of(const rapidjson::Value& object) {
  const auto path = from_base64(json_string(object, "key").value_or(""));
  const auto value = from_base64(json_string(object, "value").value_or(""));
  std::uint64_t revision = 0;
  if (!path || !value || !object.IsObject() || !read_number(object, "mod_revision", revision)) return std::nullopt;
  return EtcdPair{*path, {*value, std::to_string(revision)}, revision};
}

/// The one key of a `response_range`, if any is there.
Result<std::optional<EtcdPair>> ranged(const rapidjson::Value& response, const std::string& path) {
  const auto* const range = json_object(response, "response_range");
  if (range == nullptr) return fail("read", kEtcd, "no 'response_range' in it");
  const auto* const found = json_array(*range, "kvs");
  if (found == nullptr || found->Empty()) return std::nullopt;
  const auto pair = pair_of((*found)[0]);
  if (!pair) return fail("read", kEtcd, "a key or value that is none");
  if (pair->path != path) return fail("read", kEtcd, "a key that was not asked for");
  return pair;
}

Result<std::vector<EtcdEvent>> events_of(const rapidjson::Value& list, const DcsPaths& paths) {
  std::vector<EtcdEvent> events;
  for (const auto& entry : list.GetArray()) {
    const auto* const object = json_object(entry, "kv");
    const auto pair = object == nullptr ? std::nullopt : pair_of(*object);
    if (!pair) return fail("read", kWatch, "a key or value that is none");
    if (pair->path != paths.leader && pair->path != paths.failover) continue;
    EtcdEvent event;
    event.failover = pair->path == paths.failover;
    event.revision = pair->revision;
    if (json_string(entry, "type").value_or("PUT") != "DELETE") event.key = pair->key;
    events.push_back(std::move(event));
  }
  return events;
}

}  // namespace

DcsPaths dcs_paths(std::string_view name_space, std::string_view scope) {
  std::string base = "/";
  for (const std::string_view part : {name_space, std::string_view("/"), scope, std::string_view("/")}) {
    for (const char c : part) {
      if (c != '/' || base.back() != '/') base += c;
    }
  }
  return {base + "leader", base + "failover"};
}

std::string base64(std::string_view bytes) {
  std::string text;
  text.reserve((bytes.size() + 2) / 3 * 4);
  for (std::size_t at = 0; at < bytes.size(); at += 3) {
    const std::size_t have = std::min<std::size_t>(3, bytes.size() - at);
    std::uint32_t group = 0;
    for (std::size_t i = 0; i < 3; ++i) group = group << 8U | (i < have ? static_cast<unsigned char>(bytes[at + i]) : 0U);
    for (std::size_t i = 0; i < 4; ++i) text += i <= have ? kAlphabet[group >> (18 - 6 * i) & 63U] : '=';
  }
  return text;
}

std::optional<std::string> from_base64(std::string_view text) {
  if (text.size() % 4 != 0) return std::nullopt;
  std::size_t padding = 0;
  while (padding < 2 && padding < text.size() && text[text.size() - 1 - padding] == '=') ++padding;
  std::string bytes;
  bytes.reserve(text.size() / 4 * 3);
  std::uint32_t group = 0;
  for (std::size_t at = 0; at < text.size(); ++at) {
    const bool padded = at >= text.size() - padding;
    const auto value = padded ? 0 : kAlphabet.find(text[at]);
    if (value == std::string_view::npos) return std::nullopt;
    group = group << 6U | static_cast<std::uint32_t>(value);
    if (at % 4 != 3) continue;
    const std::size_t have = at + 1 == text.size() ? 3 - padding : 3;
    for (std::size_t i = 0; i < have; ++i) bytes += static_cast<char>(group >> (16 - 8 * i) & 255U);
    group = 0;
  }
  return bytes;
}

std::string etcd_read_request(const DcsPaths& paths) {
  JsonText json(false);
  json.begin_object().key("success").begin_array();
  for (const auto& path : {paths.leader, paths.failover}) {
    json.begin_object().key("request_range").begin_object().key("key").text(base64(path)).end_object().end_object();
  }
  return json.end_array().end_object().take();
}

std::string etcd_watch_request(const DcsPaths& paths, std::uint64_t from_revision) {
  std::string both;
  for (const auto& path : {paths.leader, paths.failover}) {
    JsonText json(false);
    json.begin_object().key("create_request").begin_object().key("key").text(base64(path));
    json.key("start_revision").text(std::to_string(from_revision)).end_object().end_object();
    both += json.take();
  }
  return both;
}

std::string etcd_login_request(const std::string& username, const std::string& password) {
  return JsonText(false).begin_object().key("name").text(username).key("password").text(password).end_object().take();
}

Result<EtcdRead> parse_etcd_read(std::string_view body, const DcsPaths& paths) {
  const auto json = read_json(body, kEtcd);
  if (!json) return tl::unexpected(json.error());
  const auto* const header = json_object(*json, "header");
  const auto* const responses = json_array(*json, "responses");
  EtcdRead read;
  if (header == nullptr || !read_number(*header, "revision", read.revision) || read.revision == 0) {
    return fail("read", kEtcd, "no revision in it");
  }
  if (responses == nullptr || responses->Size() != 2) return fail("read", kEtcd, "not two ranges in it");
  const auto leader = ranged((*responses)[0], paths.leader);
  if (!leader) return tl::unexpected(leader.error());
  const auto failover = ranged((*responses)[1], paths.failover);
  if (!failover) return tl::unexpected(failover.error());
  for (const auto& [pair, key] : {std::pair(*leader, &read.leader), std::pair(*failover, &read.failover)}) {
    if (!pair) continue;
    *key = pair->key;
    read.newest = std::max(read.newest, pair->revision);
  }
  return read;
}

Result<EtcdLine> parse_etcd_line(std::string_view line, const DcsPaths& paths) {
  const auto json = read_json(line, kWatch);
  if (!json) return tl::unexpected(json.error());
  const auto* const result = json_object(*json, "result");
  if (result == nullptr) {
    const auto complaint = etcd_complaint(line);
    return fail("read", kWatch, complaint.empty() ? "neither a result nor an error in it" : complaint);
  }
  EtcdLine said;
  said.created = json_bool(*result, "created").value_or(false);
  said.canceled = json_bool(*result, "canceled").value_or(false);
  if (!read_number(*result, "compact_revision", said.compact_revision)) {
    return fail("read", kWatch, "a 'compact_revision' that is no number");
  }
  said.reason = printable(json_string(*result, "cancel_reason").value_or(""));
  if (const auto* const list = json_array(*result, "events")) {
    auto events = events_of(*list, paths);
    if (!events) return tl::unexpected(events.error());
    said.events = std::move(*events);
  }
  return said;
}

Result<std::string> parse_etcd_token(std::string_view body) {
  const auto json = read_json(body, kEtcd);
  if (!json) return tl::unexpected(json.error());
  const auto token = json_string(*json, "token");
  const bool sound = token && !token->empty() && token->size() <= kMostToken &&
                     std::all_of(token->begin(), token->end(), [](char c) { return c > ' ' && c < '\x7f'; });
  if (!sound) return fail("read", kEtcd, "no token in it that a header can carry");
  return *token;
}

std::string etcd_complaint(std::string_view body) {
  const auto json = read_json(body, kEtcd);
  if (!json) return "";
  const auto* const inner = json_object(*json, "error");
  const rapidjson::Value& object = inner == nullptr ? *json : *inner;
  for (const char* const key : {"message", "error"}) {
    if (const auto text = json_string(object, key)) return printable(*text);
  }
  return "";
}

std::string consul_request(const std::string& path, std::uint64_t index, std::chrono::milliseconds wait) {
  constexpr std::string_view kPlain = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~/";
  std::string text = "/v1/kv/";
  for (const char c : std::string_view(path).substr(path.starts_with('/') ? 1 : 0)) {
    if (kPlain.find(c) != std::string_view::npos)
      text += c;
    else
      text += fmt::format("%{:02X}", static_cast<unsigned char>(c));
  }
  if (index > 0) text += fmt::format("?index={}&wait={}ms", index, wait.count());
  return text;
}

Result<DcsKey> parse_consul_key(std::string_view body) {
  // The one reader of JSON takes objects.
  const auto json = read_json(fmt::format("{{\"keys\":{}}}", body), kConsul);
  if (!json) return tl::unexpected(json.error());
  const auto* const keys = json_array(*json, "keys");
  if (json->MemberCount() != 1 || keys == nullptr || keys->Size() != 1 || !(*keys)[0].IsObject())
    return fail("read", kConsul, "not one key in it");
  const auto& entry = (*keys)[0];
  const auto found = entry.FindMember("Value");
  const bool empty = found != entry.MemberEnd() && found->value.IsNull();  // how Consul writes an empty value
  const auto text = json_string(entry, "Value");
  const auto value = empty ? std::optional<std::string>("") : from_base64(text.value_or("="));
  const auto index = json_uint(entry, "ModifyIndex");
  if (!value || !index) return fail("read", kConsul, "a value or an index that is none");
  return DcsKey{*value, std::to_string(*index)};
}

}  // namespace controller
