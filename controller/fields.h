#pragma once
// Plain structs as JSON and back. Each is described once, by a function template `fields(json, struct)` that names its members:
// both ways pass through it.
//
// What is empty (0, false, "", no element) is left out, and what is not there reads as empty, whatever its struct's default is.
// Enumerators and structs are always there. A key that is not known is refused: what it says would be missing.

#include <algorithm>
#include <chrono>
#include <concepts>
#include <cstdint>
#include <map>
#include <optional>
#include <ranges>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "controller/json.h"
#include "controller/parse_patroni.h"
#include "haproxy/clock.h"

namespace controller {

template <class T, class Of>
concept IsA = std::same_as<std::remove_const_t<T>, Of>;

template <class T>
inline constexpr bool kIsOptional = false;
template <class T>
inline constexpr bool kIsOptional<std::optional<T>> = true;
template <class T>
inline constexpr bool kIsPair = false;
template <class A, class B>
inline constexpr bool kIsPair<std::pair<A, B>> = true;
template <class T>
inline constexpr bool kIsDuration = false;
template <class Rep, class Period>
inline constexpr bool kIsDuration<std::chrono::duration<Rep, Period>> = true;
template <class T>
concept IsMap = requires {
  typename T::mapped_type;
};

/// Instants in nanoseconds since boot; what is further away than nine years is not believed, so that differences of them, and
/// some times that, are representable.
inline constexpr std::int64_t kFarthestInstant = std::int64_t{1} << 58;
/// Durations as their own counts, up to some thirty years of milliseconds.
inline constexpr std::int64_t kLongestDuration = 1'000'000'000'000;

/// Keys of maps and elements of sets: a name, an enumerator's word, or two names with '/' between them, the first without one.
inline const std::string& key_text(const std::string& key) {
  return key;
}
template <class E>
requires std::is_enum_v<E> std::string key_text(E key) {
  return word(key);
}
inline std::string key_text(const std::pair<std::string, std::string>& key) {
  return key.first + "/" + key.second;
}

template <class E>
bool parse_word(std::string_view text, E& value) {
  constexpr int kMost = 64;
  for (int i = 0; i < kMost && text != "?"; ++i) {
    value = static_cast<E>(i);
    if (text == word(value)) return true;
  }
  return false;
}

class FieldWriter {
 public:
  static constexpr bool kReads = false;
  explicit FieldWriter(JsonText& json) : json_(json) {}

  template <class T>
  FieldWriter& operator()(const char* key, const T& value) {
    if (is_empty(value)) return *this;
    json_.key(key);
    put(value);
    return *this;
  }

 private:
  template <class T>
  static bool is_empty(const T& value) {
    if constexpr (kIsOptional<T>) {
      return !value.has_value();
    } else if constexpr (std::same_as<T, haproxy::Instant> || kIsDuration<T> || std::integral<T>) {
      return value == T{};
    } else if constexpr (std::ranges::range<T>) {
      return std::ranges::empty(value);
    } else {
      return false;
    }
  }

  template <class T>
  void put(const T& value) {
    if constexpr (std::same_as<T, bool>) {
      json_.boolean(value);
    } else if constexpr (std::unsigned_integral<T>) {
      json_.number(std::uint64_t{value});
    } else if constexpr (std::signed_integral<T>) {
      json_.number(std::int64_t{value});
    } else if constexpr (std::same_as<T, haproxy::Instant>) {
      json_.number(std::int64_t{value.time_since_epoch().count()});
    } else if constexpr (kIsDuration<T>) {
      json_.number(std::int64_t{value.count()});
    } else if constexpr (std::same_as<T, std::string>) {
      json_.text(fit(value));
    } else if constexpr (std::is_enum_v<T> || kIsPair<T>) {
      json_.text(fit(key_text(value)));
    } else if constexpr (kIsOptional<T>) {
      put(*value);
    } else if constexpr (IsMap<T>) {
      json_.begin_object();
      for (const auto& [key, element] : value) {
        json_.key(fit(key_text(key)));
        put(element);
      }
      json_.end_object();
    } else if constexpr (std::ranges::range<T>) {
      json_.begin_array();
      for (const auto& element : value) put(element);
      json_.end_array();
    } else {
      json_.begin_object();
      fields(*this, value);
      json_.end_object();
    }
  }

  /// Texts of the wire were checked where they came in, those of the user's files may be of any encoding.
  static std::string fit(const std::string& text) {
    const bool plain = std::ranges::all_of(text, [](char c) { return c >= ' ' && c <= '~'; });
    return plain ? text : printable(text, 4 * text.size());
  }

  JsonText& json_;
};

/// Reads one object. The first key that is missing, wrong or not known is remembered in `wrong`.
class FieldReader {
 public:
  static constexpr bool kReads = true;
  FieldReader(const rapidjson::Value& object, std::string& wrong) : object_(object), wrong_(wrong) {}

  template <class T>
  FieldReader& operator()(const char* key, T& value) {
    const auto found = object_.FindMember(key);
    if (found != object_.MemberEnd()) {
      ++taken_;
      if (!get(found->value, value)) blame(key);
    } else if (!clear(value)) {
      blame(key);
    }
    return *this;
  }

  /// To be called after the last: were all keys known?
  void end() {
    if (taken_ == object_.MemberCount() || !wrong_.empty()) return;
    blame("a key that is not known here");
  }

 private:
  void blame(const char* key) {
    if (wrong_.empty()) wrong_ = key;
  }

  /// Says whether it may be left out.
  template <class T>
  static bool clear(T& value) {
    if constexpr (kIsOptional<T>) {
      value.reset();
      return true;
    } else if constexpr (std::same_as<T, haproxy::Instant> || kIsDuration<T> || std::integral<T>) {
      value = T{};
      return true;
    } else if constexpr (std::ranges::range<T>) {
      value.clear();
      return true;
    } else {
      return false;
    }
  }

  template <class T>
  bool get(const rapidjson::Value& json, T& value) {
    if constexpr (std::same_as<T, bool>) {
      return json.IsBool() && (value = json.GetBool(), true);
    } else if constexpr (std::unsigned_integral<T>) {
      return json.IsUint64() && std::in_range<T>(json.GetUint64()) && (value = static_cast<T>(json.GetUint64()), true);
    } else if constexpr (std::signed_integral<T>) {
      return json.IsInt64() && std::in_range<T>(json.GetInt64()) && (value = static_cast<T>(json.GetInt64()), true);
    } else if constexpr (std::same_as<T, haproxy::Instant>) {
      if (!json.IsInt64() || json.GetInt64() > kFarthestInstant || json.GetInt64() < -kFarthestInstant) return false;
      value = haproxy::Instant(haproxy::Duration(json.GetInt64()));
      return true;
    } else if constexpr (kIsDuration<T>) {
      if (!json.IsInt64() || json.GetInt64() > kLongestDuration || json.GetInt64() < -kLongestDuration) return false;
      value = T(json.GetInt64());
      return true;
    } else if constexpr (std::same_as<T, std::string>) {
      return json.IsString() && (value.assign(json.GetString(), json.GetStringLength()), true);
    } else if constexpr (std::is_enum_v<T> || kIsPair<T>) {
      return json.IsString() && get_key({json.GetString(), json.GetStringLength()}, value);
    } else if constexpr (kIsOptional<T>) {
      return get(json, value.emplace());
    } else if constexpr (IsMap<T>) {
      return get_map(json, value);
    } else if constexpr (std::ranges::range<T>) {
      return get_list(json, value);
    } else {
      if (!json.IsObject()) return false;
      FieldReader inner(json, wrong_);
      fields(inner, value);
      inner.end();
      return wrong_.empty();
    }
  }

  template <class T>
  bool get_map(const rapidjson::Value& json, T& values) {
    values.clear();
    if (!json.IsObject()) return false;
    for (const auto& member : json.GetObject()) {
      typename T::key_type key;
      if (!get_key({member.name.GetString(), member.name.GetStringLength()}, key)) return false;
      if (!get(member.value, values[key])) return false;
    }
    return true;
  }

  template <class T>
  bool get_list(const rapidjson::Value& json, T& values) {
    values.clear();
    if (!json.IsArray()) return false;
    for (const rapidjson::Value& element : json.GetArray()) {
      typename T::value_type value{};
      if (!get(element, value)) return false;
      values.insert(values.end(), std::move(value));
    }
    return true;
  }

  static bool get_key(std::string_view text, std::string& key) { return key = text, true; }
  static bool get_key(std::string_view text, std::pair<std::string, std::string>& key) {
    const auto slash = text.find('/');
    if (slash == std::string_view::npos) return false;
    key = std::pair(std::string(text.substr(0, slash)), std::string(text.substr(slash + 1)));
    return true;
  }
  template <class E>
  requires std::is_enum_v<E>
  static bool get_key(std::string_view text, E& key) { return parse_word(text, key); }

  const rapidjson::Value& object_;
  std::string& wrong_;
  rapidjson::SizeType taken_ = 0;
};

}  // namespace controller
