#include "controller/json.h"

#include <limits>
#include <string>

#include "tests/catch.h"

using namespace controller;

namespace {

std::string refusal(std::string_view text) {
  const auto read = read_json(text, "http://a:8008");
  return read ? "accepted" : read.error().detail;
}

std::string nested(std::size_t depth) {
  std::string text = R"({"a": )";
  text.append(depth - 1, '[').append(depth - 1, ']');
  return text + "}";
}

}  // namespace

TEST_CASE("one JSON object is read, white space around it allowed") {
  const auto read = read_json(" {\"a\": {\"b\": [1, \"x\", null, true]}} \n", "s");
  REQUIRE(read);
  const auto* const a = json_object(*read, "a");
  REQUIRE(a != nullptr);
  const auto* const b = json_array(*a, "b");
  REQUIRE(b != nullptr);
  CHECK(b->Size() == 4);
}

TEST_CASE("what is not one object is refused with the byte where it went wrong") {
  CHECK(refusal("") == "not the JSON expected: The document is empty. (at byte 0)");
  CHECK(refusal("[1]") == "not the JSON expected: not an object (at byte 0)");
  CHECK(refusal("\"text\"").find("not an object") != std::string::npos);
  CHECK(refusal("12").find("not an object") != std::string::npos);
  CHECK(refusal("null").find("not an object") != std::string::npos);
  CHECK(refusal("<html></html>").find("Invalid value") != std::string::npos);
  CHECK(refusal(R"({"a": 1} {"b": 2})").find("at byte 9") != std::string::npos);
  CHECK(refusal(R"({"a": 1} x)") != "accepted");
  CHECK(refusal(R"({"a": 1)") == "not the JSON expected: Missing a comma or '}' after an object member. (at byte 7)");
  CHECK(refusal(R"({"a": "ru)").find("closing quotation") != std::string::npos);
  CHECK(refusal(R"({"a": 1,})") != "accepted");
  CHECK(refusal(R"({"a": NaN})") != "accepted");
  CHECK(refusal(R"({"a": 1 /* one */})") != "accepted");
  CHECK(refusal(std::string_view("{\"a\": 1}\0{}", 11)) == "not the JSON expected: a zero byte (at byte 8)");
  CHECK(refusal(std::string_view("{\"a\0\": 1}", 9)) != "accepted");
  CHECK(read_json("x", "http://a:8008").error().text().starts_with("cannot read http://a:8008: not the JSON expected"));
}

TEST_CASE("32 levels are read, 33 and a million are refused") {
  CHECK(refusal(nested(32)) == "accepted");
  CHECK(refusal(nested(33)).find("nested too deep") != std::string::npos);
  CHECK(refusal(R"({"a": )" + std::string(990'000, '[')).find("nested too deep") != std::string::npos);
  std::string objects;
  for (int depth = 0; depth < 100'000; ++depth) objects += R"({"a":)";
  CHECK(refusal(objects).find("nested too deep") != std::string::npos);
}

TEST_CASE("a doubled key is refused in any object, the same key in two objects is not") {
  CHECK(refusal(R"({"a": 1, "a": 1})").find("a key that its object has already (at byte 12)") != std::string::npos);
  CHECK(refusal(R"({"x": [{"a": 1, "b": 2, "a": 3}]})").find("already") != std::string::npos);
  CHECK(refusal(R"({"a": 1, "\u0061": 1})").find("already") != std::string::npos);
  CHECK(refusal(R"({"a": {"a": {"a": 1}}, "b": {"a": 1}})") == "accepted");
}

TEST_CASE("text that is not UTF-8 is refused, escaped or not") {
  CHECK(refusal("{\"a\": \"\xff\"}") != "accepted");
  CHECK(refusal("{\"a\": \"\xc3\x28\"}") != "accepted");
  CHECK(refusal("{\"a\": \"\xed\xa0\x80\"}") != "accepted");
  CHECK(refusal("{\"\xff\": 1}") != "accepted");
  CHECK(refusal(R"({"a": "\udc00"})").find("surrogate") != std::string::npos);
  CHECK(refusal(R"({"\udc00": 1})").find("surrogate") != std::string::npos);
  CHECK(refusal(R"({"a": "\ud800"})").find("urrogate") != std::string::npos);
  CHECK(refusal("{\"a\": \"\xed\x95\x9c\xc3\xa4\"}") == "accepted");
  CHECK(refusal(R"({"a": "\ud83d\ude00"})") == "accepted");
}

TEST_CASE("a million bytes are read, one more is refused") {
  const std::string frame = R"({"a": ""})";
  std::string text = R"({"a": ")" + std::string(1'000'000 - frame.size(), 'x') + R"("})";
  CHECK(refusal(text) == "accepted");
  CHECK(refusal(text + " ") == "over 1000000 bytes of JSON");
}

TEST_CASE("a member is nothing where it is missing or of another type") {
  const auto read = read_json(R"({"s": "t", "u": 18446744073709551615, "i": -5, "d": 1.5, "b": true, "a": [], "o": {},
                                  "n": null, "zero": 0, "text5": "5", "big": 18446744073709551616})",
                              "s");
  REQUIRE(read);
  const auto& o = *read;
  CHECK(json_string(o, "s") == "t");
  CHECK(!json_string(o, "u"));
  CHECK(!json_string(o, "n"));
  CHECK(!json_string(o, "missing"));
  CHECK(json_uint(o, "u") == std::numeric_limits<std::uint64_t>::max());
  CHECK(json_uint(o, "zero") == 0U);
  CHECK(!json_uint(o, "i"));
  CHECK(!json_uint(o, "d"));
  CHECK(!json_uint(o, "text5"));
  CHECK(!json_uint(o, "big"));
  CHECK(json_double(o, "big") == 18446744073709551616.0);
  CHECK(json_int(o, "i") == -5);
  CHECK(json_int(o, "zero") == 0);
  CHECK(!json_int(o, "u"));
  CHECK(json_double(o, "d") == 1.5);
  CHECK(json_double(o, "i") == -5.0);
  CHECK(!json_double(o, "s"));
  CHECK(json_bool(o, "b") == true);
  CHECK(!json_bool(o, "zero"));
  CHECK(json_array(o, "a") != nullptr);
  CHECK(json_array(o, "o") == nullptr);
  CHECK(json_object(o, "o") != nullptr);
  CHECK(json_object(o, "a") == nullptr);
  CHECK(!json_string(*json_array(o, "a"), "x"));
}

TEST_CASE("numbers at the edges are read right or refused") {
  const auto read =
      read_json(R"({"a": -9223372036854775808, "b": 1e3, "c": -0.25, "e": [1, -2], "f": 4294967296,"g":-7})", "s");
  REQUIRE(read);
  CHECK(json_int(*read, "a") == std::numeric_limits<std::int64_t>::min());
  CHECK(json_double(*read, "b") == 1000.0);
  CHECK(json_double(*read, "c") == -0.25);
  CHECK((*json_array(*read, "e"))[1].GetInt() == -2);
  CHECK(json_uint(*read, "f") == 4294967296U);
  CHECK(json_int(*read, "g") == -7);
  CHECK(refusal(R"({"a": 1e400})") != "accepted");
  CHECK(refusal(R"({"a": 0.00000000000000000001e-2147483640})").find("out of range") != std::string::npos);
  CHECK(refusal(R"({"a": 01})") != "accepted");
  CHECK(refusal(R"({"a": +1})") != "accepted");
  CHECK(refusal(R"({"a": 1.})") != "accepted");
}

TEST_CASE("JSON is written on one line, and escaped") {
  JsonText json(false);
  json.begin_object().key("a \"b\"").text("line\nfeed\\").key("n").begin_array().number(std::int64_t{-1});
  json.number(std::uint64_t{2}).number(0.1234567).boolean(true).null().end_array().end_object();
  CHECK(json.take() == R"({"a \"b\"":"line\nfeed\\","n":[-1,2,0.123457,true,null]})");
}

TEST_CASE("JSON is written indented by two") {
  JsonText json(true);
  json.begin_object().key("a").begin_array().text("x").text("").end_array().key("o").begin_object().end_object().end_object();
  CHECK(json.take() == "{\n  \"a\": [\n    \"x\",\n    \"\"\n  ],\n  \"o\": {}\n}");
}

TEST_CASE("a number that is not finite is written as null") {
  JsonText json(false);
  json.begin_array().number(std::numeric_limits<double>::infinity()).number(std::numeric_limits<double>::quiet_NaN());
  json.number(1.5).number(2.0).number(1e12).end_array();
  CHECK(json.take() == "[null,null,1.5,2.0,1000000000000.0]");
}
