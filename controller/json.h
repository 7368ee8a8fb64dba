#pragma once
// JSON, read and written in one place, over RapidJSON.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include <rapidjson/document.h>
#include <rapidjson/prettywriter.h>
#include <rapidjson/stringbuffer.h>

#include "haproxy/result.h"

namespace controller {

inline constexpr std::size_t kLongestJson = 1'000'000;

/// Parses one JSON object. Iterative (RapidJSON's default parser overflows the stack at 200,000 '['), with its encoding
/// validated, at most `most` bytes, at most 32 deep, no doubled key in any object, nothing after the object. The Error
/// (operation "read", the given subject) says what and at which byte.
[[nodiscard]] haproxy::Result<rapidjson::Document> read_json(std::string_view text, const std::string& subject,
                                                             std::size_t most = kLongestJson);

/// Members by name, each nothing where it is missing or of another type.
[[nodiscard]] std::optional<std::string> json_string(const rapidjson::Value& object, const char* key);
[[nodiscard]] std::optional<std::uint64_t> json_uint(const rapidjson::Value& object, const char* key);
[[nodiscard]] std::optional<std::int64_t> json_int(const rapidjson::Value& object, const char* key);
[[nodiscard]] std::optional<double> json_double(const rapidjson::Value& object, const char* key);
[[nodiscard]] std::optional<bool> json_bool(const rapidjson::Value& object, const char* key);
[[nodiscard]] const rapidjson::Value* json_array(const rapidjson::Value& object, const char* key);
[[nodiscard]] const rapidjson::Value* json_object(const rapidjson::Value& object, const char* key);

/// Builds one JSON document: on one line, or indented by two with arrays of numbers and texts spread out as well. Keys and
/// strings are escaped; text that is not UTF-8 must not be handed in.
class JsonText {
 public:
  explicit JsonText(bool indented) : indented_(indented), line_(buffer_), pretty_(buffer_) { pretty_.SetIndent(' ', 2); }
  JsonText& begin_object();
  JsonText& end_object();
  JsonText& begin_array();
  JsonText& end_array();
  JsonText& key(std::string_view name);
  JsonText& text(std::string_view value);
  JsonText& number(std::int64_t value);
  JsonText& number(std::uint64_t value);
  JsonText& number(double value);  ///< at most 6 decimals; null where it is not finite
  JsonText& boolean(bool value);
  JsonText& null();
  [[nodiscard]] std::string take() const { return {buffer_.GetString(), buffer_.GetSize()}; }

 private:
  bool indented_;
  rapidjson::StringBuffer buffer_;
  rapidjson::Writer<rapidjson::StringBuffer> line_;
  rapidjson::PrettyWriter<rapidjson::StringBuffer> pretty_;
};

}  // namespace controller
