// clusters[].watch

#include <fmt/core.h>

#include <algorithm>

#include "controller/config_sections.h"

namespace controller {
namespace {

constexpr std::uint16_t kEtcdPort = 2379;
constexpr std::uint16_t kConsulPort = 8500;

void read_endpoint(const Entry& entry, std::uint16_t default_port, WatchConfig& watch, Complaints& complaints) {
  const auto text = read_text(entry, complaints);
  if (!text) return;
  auto url = parse_url(*text, default_port);
  if (!url) {
    complaints.add(entry.mark(), fmt::format("{} '{}': {}", entry.key, shown(*text), shown(url.error().detail)),
                   url.error().hint);
  } else if (std::ranges::find(watch.endpoints, *url) != watch.endpoints.end()) {
    complaints.add(entry.mark(), fmt::format("{} '{}' is given twice", entry.key, shown(url->url)), "keep one");
  } else {
    watch.endpoints.push_back(std::move(*url));
  }
}

void read_login(const Section& section, WatchConfig& watch, Complaints& complaints) {
  const auto username = section.find("username");
  const auto password = section.find("password_file");
  if (username) watch.username = read_text(*username, complaints).value_or("");
  if (password) watch.password_file = read_path(*password, complaints).value_or("");
  if (watch.dcs == WatchConfig::Dcs::consul && username) {
    complaints.add(username->key_mark, "'username' goes with etcd only", "remove it; password_file holds Consul's token");
  } else if (watch.dcs == WatchConfig::Dcs::etcd && username && !password) {
    complaints.add(username->key_mark, "'username' without 'password_file'", "give password_file as well");
  } else if (watch.dcs == WatchConfig::Dcs::etcd && password && !username) {
    complaints.add(password->key_mark, "'password_file' without 'username'", "give username as well");
  }
}

}  // namespace

std::optional<WatchConfig> read_watch(const Entry& entry, Complaints& complaints) {
  WatchConfig watch;
  const Section section(entry, {"etcd", "consul", "namespace", "tls", "username", "password_file"}, complaints);
  if (!section.is_map()) return std::nullopt;
  const auto etcd = section.find("etcd");
  const auto consul = section.find("consul");
  if (etcd && consul) {
    complaints.add(consul->key_mark, "'consul' beside 'etcd'", "keep the one that Patroni uses");
  } else if (!etcd && !consul) {
    complaints.add(entry.mark(), "'watch' without 'etcd' or 'consul'",
                   "give etcd: [http://10.0.0.21:2379] or consul: http://127.0.0.1:8500");
  } else if (etcd) {
    for (const Entry& element :
         read_list(*etcd, "write a list such as [http://10.0.0.21:2379, http://10.0.0.22:2379]", complaints)) {
      read_endpoint(element, kEtcdPort, watch, complaints);
    }
  } else {
    watch.dcs = WatchConfig::Dcs::consul;
    read_endpoint(*consul, kConsulPort, watch, complaints);
  }
  if (const auto name_space = section.find("namespace")) {
    watch.name_space = read_text(*name_space, complaints).value_or("");
  }
  if (const auto tls = section.find("tls")) {
    watch.tls = read_tls(*tls, complaints);
    if (!watch.endpoints.empty() && std::ranges::none_of(watch.endpoints, &MemberUrl::https)) {
      complaints.add(tls->key_mark, "'tls' is given, and nothing that is watched is https",
                     "write https:// in the URLs, or remove it");
    }
  }
  if (etcd || consul) read_login(section, watch, complaints);
  if (watch.endpoints.empty()) return std::nullopt;
  return watch;
}

}  // namespace controller
