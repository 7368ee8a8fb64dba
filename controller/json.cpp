#include "controller/json.h"

#include <fmt/format.h>
#include <rapidjson/error/en.h>
#include <rapidjson/memorystream.h>
#include <rapidjson/reader.h>

#include <charconv>
#include <cmath>
#include <new>
#include <set>
#include <vector>

namespace controller {
namespace {

constexpr std::size_t kMaxDepth = 32;
constexpr unsigned kFlags =
    rapidjson::kParseIterativeFlag | rapidjson::kParseValidateEncodingFlag | rapidjson::kParseNumbersAsStringsFlag;

/// Hands RapidJSON's events on to a document and refuses what it would let pass. Numbers are converted here: RapidJSON 1.1
/// reads outside its table of powers for an exponent near -2^31, and loses the sign of a number that it hands over as text.
class Gate {
 public:
  using Ch = char;
  Gate(rapidjson::Document& document, const rapidjson::MemoryStream& stream, std::string_view text)
      : document_(document), stream_(stream), text_(text) {}

  bool Null() { return inside() && document_.Null(); }
  bool Bool(bool value) { return inside() && document_.Bool(value); }
  bool Int(int) { return false; }
  bool Uint(unsigned) { return false; }
  bool Int64(std::int64_t) { return false; }
  bool Uint64(std::uint64_t) { return false; }
  bool Double(double) { return false; }

  bool RawNumber(const char*, rapidjson::SizeType, bool) {
    if (!inside()) return false;
    const std::size_t end = stream_.Tell();
    const std::size_t before = text_.substr(0, end).find_last_not_of("0123456789+-.eE");
    const std::string_view digits = text_.substr(before + 1, end - before - 1);
    const char* const first = digits.data();
    const char* const last = first + digits.size();
    std::uint64_t positive = 0;
    if (const auto [to, error] = std::from_chars(first, last, positive); error == std::errc{} && to == last) {
      return document_.Uint64(positive);
    }
    std::int64_t whole = 0;
    if (const auto [to, error] = std::from_chars(first, last, whole); error == std::errc{} && to == last) {
      return document_.Int64(whole);
    }
    double real = 0;
    if (const auto [to, error] = std::from_chars(first, last, real); error == std::errc{} && to == last) {
      return document_.Double(real);
    }
    return refuse("a number out of range");
  }

  bool String(const char* value, rapidjson::SizeType length, bool copy) {
    return inside() && encoded({value, length}) && document_.String(value, length, copy);
  }

  bool StartObject() {
    if (keys_.size() + arrays_ >= kMaxDepth) return refuse("nested too deep");
    keys_.emplace_back();
    return document_.StartObject();
  }

  bool Key(const char* value, rapidjson::SizeType length, bool copy) {
    if (!encoded({value, length})) return false;
    if (!keys_.back().emplace(value, length).second) return refuse("a key that its object has already");
    return document_.Key(value, length, copy);
  }

  bool EndObject(rapidjson::SizeType count) {
    keys_.pop_back();
    return document_.EndObject(count);
  }

  bool StartArray() {
    if (!inside()) return false;
    if (keys_.size() + arrays_ >= kMaxDepth) return refuse("nested too deep");
    ++arrays_;
    return document_.StartArray();
  }

  bool EndArray(rapidjson::SizeType count) {
    --arrays_;
    return document_.EndArray(count);
  }

  [[nodiscard]] const char* complaint() const { return complaint_; }

 private:
  bool refuse(const char* complaint) {
    complaint_ = complaint;
    return false;
  }

  bool inside() { return !keys_.empty() || refuse("not an object"); }

  /// RapidJSON takes "\udc00" alone, and makes of it three bytes that are no UTF-8.
  bool encoded(std::string_view value) {
    for (std::size_t at = value.find('\xed'); at != std::string_view::npos; at = value.find('\xed', at + 1)) {
      if (at + 1 < value.size() && static_cast<unsigned char>(value[at + 1]) >= 0xa0) return refuse("half a surrogate pair");
    }
    return true;
  }

  rapidjson::Document& document_;
  const rapidjson::MemoryStream& stream_;
  std::string_view text_;
  std::vector<std::set<std::string, std::less<>>> keys_;
  std::size_t arrays_ = 0;
  const char* complaint_ = nullptr;
};

const rapidjson::Value* member(const rapidjson::Value& object, const char* key) {
  if (!object.IsObject()) return nullptr;
  const auto found = object.FindMember(key);
  return found == object.MemberEnd() ? nullptr : &found->value;
}

}  // namespace

haproxy::Result<rapidjson::Document> read_json(std::string_view text, const std::string& subject, std::size_t most) {
  if (text.size() > most) return haproxy::fail("read", subject, fmt::format("over {} bytes of JSON", most));
  try {
    rapidjson::Document document;
    rapidjson::MemoryStream stream(text.data(), text.size());
    rapidjson::Reader reader;
    Gate gate(document, stream, text);
    rapidjson::ParseResult outcome;
    auto parse = [&](rapidjson::Document&) {
      outcome = reader.Parse<kFlags>(stream, gate);
      return !outcome.IsError();
    };
    document.Populate(parse);
    if (outcome.IsError()) {
      const char* const why = gate.complaint() != nullptr ? gate.complaint() : rapidjson::GetParseError_En(outcome.Code());
      return haproxy::fail("read", subject, fmt::format("not the JSON expected: {} (at byte {})", why, outcome.Offset()));
    }
    if (stream.Tell() != text.size()) {
      return haproxy::fail("read", subject, fmt::format("not the JSON expected: a zero byte (at byte {})", stream.Tell()));
    }
    return document;
  } catch (const std::bad_alloc&) {
    return haproxy::fail("read", subject, "no memory for its JSON");
  }
}

std::optional<std::string> json_string(const rapidjson::Value& object, const char* key) {
  const auto* const value = member(object, key);
  if (value == nullptr || !value->IsString()) return std::nullopt;
  return std::string(value->GetString(), value->GetStringLength());
}

std::optional<std::uint64_t> json_uint(const rapidjson::Value& object, const char* key) {
  const auto* const value = member(object, key);
  if (value == nullptr || !value->IsUint64()) return std::nullopt;
  return value->GetUint64();
}

std::optional<std::int64_t> json_int(const rapidjson::Value& object, const char* key) {
  const auto* const value = member(object, key);
  if (value == nullptr || !value->IsInt64()) return std::nullopt;
  return value->GetInt64();
}

std::optional<double> json_double(const rapidjson::Value& object, const char* key) {
  const auto* const value = member(object, key);
  if (value == nullptr || !value->IsNumber()) return std::nullopt;
  return value->GetDouble();
}

std::optional<bool> json_bool(const rapidjson::Value& object, const char* key) {
  const auto* const value = member(object, key);
  if (value == nullptr || !value->IsBool()) return std::nullopt;
  return value->GetBool();
}

const rapidjson::Value* json_array(const rapidjson::Value& object, const char* key) {
  const auto* const value = member(object, key);
  return value != nullptr && value->IsArray() ? value : nullptr;
}

const rapidjson::Value* json_object(const rapidjson::Value& object, const char* key) {
  const auto* const value = member(object, key);
  return value != nullptr && value->IsObject() ? value : nullptr;
}

JsonText& JsonText::begin_object() {
  indented_ ? pretty_.StartObject() : line_.StartObject();
  return *this;
}

JsonText& JsonText::end_object() {
  indented_ ? pretty_.EndObject() : line_.EndObject();
  return *this;
}

JsonText& JsonText::begin_array() {
  indented_ ? pretty_.StartArray() : line_.StartArray();
  return *this;
}

JsonText& JsonText::end_array() {
  indented_ ? pretty_.EndArray() : line_.EndArray();
  return *this;
}

JsonText& JsonText::key(std::string_view name) {
  const auto length = static_cast<rapidjson::SizeType>(name.size());
  indented_ ? pretty_.Key(name.data(), length) : line_.Key(name.data(), length);
  return *this;
}

JsonText& JsonText::text(std::string_view value) {
  const char* const from = value.data() == nullptr ? "" : value.data();
  const auto length = static_cast<rapidjson::SizeType>(value.size());
  indented_ ? pretty_.String(from, length) : line_.String(from, length);
  return *this;
}

JsonText& JsonText::number(std::int64_t value) {
  indented_ ? pretty_.Int64(value) : line_.Int64(value);
  return *this;
}

JsonText& JsonText::number(std::uint64_t value) {
  indented_ ? pretty_.Uint64(value) : line_.Uint64(value);
  return *this;
}

JsonText& JsonText::number(double value) {
  if (!std::isfinite(value)) return null();
  const double rounded = std::abs(value) < 1e9 ? std::round(value * 1e6) / 1e6 : value;
  pretty_.SetMaxDecimalPlaces(6);
  line_.SetMaxDecimalPlaces(6);
  indented_ ? pretty_.Double(rounded) : line_.Double(rounded);
  return *this;
}

JsonText& JsonText::boolean(bool value) {
  indented_ ? pretty_.Bool(value) : line_.Bool(value);
  return *this;
}

JsonText& JsonText::null() {
  indented_ ? pretty_.Null() : line_.Null();
  return *this;
}

}  // namespace controller
