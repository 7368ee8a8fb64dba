#include "haproxy/address.h"

#include <string>

#include "tests/catch.h"

using namespace haproxy;

TEST_CASE("an address is spelled with its port, IPv6 in brackets") {
  CHECK(Address{"10.0.0.1", 5432}.text() == "10.0.0.1:5432");
  CHECK(Address{"::1", 5432}.text() == "[::1]:5432");
}

TEST_CASE("equal addresses compare equal however they were spelled") {
  CHECK(parse_ip("10.0.0.1") == "10.0.0.1");
  CHECK(parse_ip("::1") == "::1");
  CHECK(parse_ip("[::1]") == "::1");
  CHECK(parse_ip("0:0:0:0:0:0:0:1") == "::1");
  CHECK(parse_ip("2001:DB8::00A1") == "2001:db8::a1");
  CHECK(parse_ip("::ffff:10.0.0.1") == "::ffff:10.0.0.1");
  CHECK(Address{*parse_ip("[2001:DB8::0]"), 1} == Address{*parse_ip("2001:db8::"), 1});
}

TEST_CASE("what is not a numeric address in full is none") {
  for (const char* const text : {"",
                                 "[",
                                 "]",
                                 "[]",
                                 "[::1",
                                 "::1]",
                                 "[10.0.0.1]",
                                 "localhost",
                                 "10.1",
                                 "10.0.0",
                                 "10.0.0.1.",
                                 "010.0.0.1",
                                 "0x0a.0.0.1",
                                 "10.0.0.256",
                                 " 10.0.0.1",
                                 "10.0.0.1 ",
                                 "10.0.0.1:5432",
                                 "fe80::1%lo",
                                 "fe80::1%1",
                                 "1::2::3",
                                 ":::",
                                 "::1/128",
                                 "-",
                                 "10.0.0.1\n",
                                 "0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000"}) {
    CAPTURE(text);
    CHECK_FALSE(parse_ip(text).has_value());
  }
  CHECK_FALSE(parse_ip(std::string_view("10.0.0.1\0", 9)).has_value());
  CHECK_FALSE(parse_ip(std::string_view("10.0.0.1\0.example", 17)).has_value());
  CHECK_FALSE(parse_ip(std::string(100'000, '1')).has_value());
}

TEST_CASE("a port is 1 to 65535 in digits alone") {
  CHECK(parse_port("1") == 1);
  CHECK(parse_port("5432") == 5432);
  CHECK(parse_port("65535") == 65535);
  for (const char* const text :
       {"", "0", "65536", "70000", "-1", "+1", " 1", "1 ", "0x10", "5432abc", "1.0", "99999999999999999999"}) {
    CAPTURE(text);
    CHECK_FALSE(parse_port(text).has_value());
  }
}

TEST_CASE("a name has HAProxy's own characters and nothing that ends a word or a command") {
  CHECK(is_name("pg1"));
  CHECK(is_name("pg_replicas-2.eu:north"));
  CHECK(is_name(std::string(255, 'a')));
  CHECK_FALSE(is_name(""));
  CHECK_FALSE(is_name(std::string(256, 'a')));
  for (const char* const name : {"a b", "a;b", "a/b", "a\nb", "a\tb", "a,b", "a@b", "a%b", "a(b", "a=b", "a#b", "a\\b", "a\"b",
                                 "a'b", "a$b", "a{b", "\xc3\xa4"}) {
    CAPTURE(name);
    CHECK_FALSE(is_name(name));
  }
  CHECK_FALSE(is_name(std::string_view("a\0b", 3)));
}

TEST_CASE("a host name has labels of letters, digits, hyphens and underscores") {
  CHECK(is_host_name("pg1"));
  CHECK(is_host_name("pg-1.example.com"));
  CHECK(is_host_name("_patroni.pg_1.svc"));
  CHECK(is_host_name("1and1.com"));
  CHECK(is_host_name("0xen"));
  CHECK(is_host_name(std::string(63, 'a') + ".b"));
  for (const char* const name :
       {"", ".", "a.", ".a", "a..b", "-a", "a-", "a.-b", "a b", "a;b", "a/b", "a:1", "[::1]", "a\n", "a%b", "\xc3\xa4.de"}) {
    CAPTURE(name);
    CHECK_FALSE(is_host_name(name));
  }
  CHECK_FALSE(is_host_name(std::string(64, 'a')));
  std::string long_name = "a";
  while (long_name.size() < 253) long_name += ".a";
  CHECK(is_host_name(long_name));
  CHECK_FALSE(is_host_name(long_name + ".a"));
}

TEST_CASE("an address in a spelling of its own does not pass as a host name") {
  for (const char* const name : {"10.0.0.1", "010.0.0.1", "10.1", "167772161", "0x0a000001", "0X0A.0x1", "0x", "pg.5"}) {
    CAPTURE(name);
    CHECK_FALSE(is_host_name(name));
  }
}
