#include "wire/json_document.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "read_text.hpp"
#include "wire/json_reader.hpp"

namespace vitalwire::wire {
namespace {

using nlohmann::json;

TEST(JsonDocument, PointsIntoTheTextWhereThatHoldsAStringAsItIs) {
    const std::string text = R"({"plain":"as it is","escaped":"\u00e4\n","\u006bey":"a\tb"})";
    JsonDocument document;
    ASSERT_TRUE(document.read(text));
    const auto view = [&](const char* key) { return *find(document.root(), key)->as<std::string_view>(); };
    EXPECT_EQ(view("plain").data(), text.data() + text.find("as it is"));
    EXPECT_EQ(view("plain"), "as it is");
    EXPECT_EQ(view("escaped"), "\xC3\xA4\n");
    EXPECT_EQ(view("key"), "a\tb");
}

TEST(JsonDocument, StepsOverWhatAValueHolds) {
    const Text text(R"({"a":{"b":[1,{"c":2}]},"d":[],"e":{},"f":true})");
    std::vector<std::string> keys;
    for (const JsonValue& member : text.root())
        keys.emplace_back(member.key);
    EXPECT_EQ(keys, (std::vector<std::string>{"a", "d", "e", "f"}));
    EXPECT_EQ(find(text.root(), "b"), nullptr);
    EXPECT_EQ(find(text.root(), "d")->begin(), find(text.root(), "d")->end());
    EXPECT_EQ(find(*find(text.root(), "f"), "f"), nullptr);
}

TEST(JsonDocument, FindsAKeyTwiceInASmallObjectAndInALargeOne) {
    for (const int members : {2, 16, 17, 60}) {
        std::string object = "{";
        for (int i = 1; i < members; ++i)
            object += "\"k" + std::to_string(i) + "\":{\"k1\":1},";
        JsonDocument fine;
        EXPECT_TRUE(fine.read(object + "\"k\":1}")) << members;
        JsonDocument twice;
        EXPECT_FALSE(twice.read(object + "\"k\\u0031\":1}")) << members;
    }
}

/// The rules once more, over the parser of another library.
class Rules final : public json::json_sax_t {
public:
    bool null() override { return add(); }
    bool boolean(bool) override { return add(); }
    bool number_integer(std::int64_t) override { return add(); }
    bool number_unsigned(std::uint64_t) override { return add(); }
    bool number_float(double, const std::string&) override { return add(); }
    bool string(std::string&) override { return add(); }
    bool binary(json::binary_t&) override { return false; }
    bool start_object(std::size_t) override { return open(true); }
    bool end_object() override { return close(); }
    bool start_array(std::size_t) override { return open(false); }
    bool end_array() override { return close(); }
    bool key(std::string& name) override { return open_.back().keys.insert(name).second; }
    bool parse_error(std::size_t, const std::string&, const nlohmann::detail::exception&) override { return false; }

private:
    struct Open {
        bool object;
        std::size_t holds = 0;
        std::set<std::string> keys;
    };

    bool add() {
        if (open_.empty()) return false;
        return ++open_.back().holds <= kMaxKeys;
    }
    bool open(bool object) {
        if (open_.empty() ? !object : !add()) return false;
        open_.push_back({object});
        return open_.size() <= static_cast<std::size_t>(kMaxDepth);
    }
    bool close() {
        open_.pop_back();
        return true;
    }

    std::vector<Open> open_;
};

bool same(const json& a, const json& b) {
    // An integer that 64 bits do not hold: a fraction there, the nearest integer here.
    if (a.is_number_float() && b.is_number_integer())
        return a.get<double>() > 0 ? b == UINT64_MAX && a.get<double>() >= 0x1p64
                                   : b == INT64_MIN && a.get<double>() <= -0x1p63;
    if (a.is_number_float() && b.is_number_float()) {
        const auto x = a.get<double>();
        const auto y = b.get<double>();
        return std::abs(x - y) <= std::abs(x) * 1e-12;
    }
    if (a.type() != b.type() && !(a.is_number_integer() && b.is_number_integer())) return false;
    if (!a.is_structured()) return a == b;
    if (a.size() != b.size()) return false;
    for (const auto& [key, value] : a.items()) {
        if (a.is_object() && !b.contains(key)) return false;
        if (!same(value, a.is_object() ? b.at(key) : b.at(std::stoul(key)))) return false;
    }
    return true;
}

std::vector<std::string> seeds() {
    std::string wide = "{";
    for (int i = 0; i < 64; ++i)
        wide += "\"" + std::to_string(i) + "\":" + std::to_string(i) + ",";
    wide.back() = '}';
    return {
        R"({"version":2,"source_addr":"vitalwire.heartbeat","dest_addr":"vitalwire.heartbeat","data":{"version":1,)"
        R"("msg_type":"challenge_response","session_id":"6f1c-2a9e","heartbeat_response":31852575,"healthy":true}})",
        R"({"version":2,"data":"{\"msg_type\":\"exit\",\"reason\":\"\\u00e4 \\ud83d\\ude00\"}"})",
        R"({"a":[1,-2,0,-0,1.5,1e3,1E-7,18446744073709551615,9223372036854775808,-9223372036854775808,1e308]})",
        R"({"s":"\"\\\/\b\f\n\r\t\u0041\u00e4\u20ac\ud83d\ude00","t":"äöü€😀","":null,"u":[true,false,[],{}]})",
        R"({"a":{"b":{"c":{"d":{"e":{"f":{"g":{"h":{"i":{"j":{"k":{"l":{"m":{"n":{"o":[]}}}}}}}}}}}}}}})",
        wide,
        "{\"a\":" + std::string(14, '[') + "1" + std::string(14, ']') + "}",
    };
}

class Mutator {
public:
    std::string operator()(std::string text, const std::vector<std::string>& others) {
        for (std::size_t changes = 1 + at(3); changes > 0; --changes)
            change(text, others[at(others.size())]);
        return text;
    }

private:
    std::size_t at(std::size_t size) { return std::uniform_int_distribution<std::size_t>(0, size - 1)(random_); }

    void change(std::string& text, const std::string& other) {
        static constexpr std::string_view kTelling = "{}[]\":,\\u0123456789eE+-.tfn \t\r\x01\x7f\x80\xc3\xed\xf0";
        const std::size_t here = at(text.size() + 1);
        const std::size_t there = at(other.size());
        switch (at(5)) {
            case 0:
                text.insert(here, 1, kTelling[at(kTelling.size())]);
                break;
            case 1:
                text.erase(here, 1 + at(8));
                break;
            case 2:
                if (here < text.size()) text[here] = kTelling[at(kTelling.size())];
                break;
            case 3:
                text.insert(here, other.substr(there, 1 + at(24)));
                break;
            default:
                text.insert(here, text.substr(at(text.size() + 1), 1 + at(24)));
        }
    }

    std::mt19937 random_{20261122};
};

/// An exponent that fits no int: no number to one of the libraries, zero to the other.
bool absurd_exponent(const std::string& text) {
    return testing::Value(text, testing::ContainsRegex("[eE][-+]?[0-9]{9}"));
}

TEST(JsonDocument, TakesAndRefusesWhatTheRulesSayOfAnyText) {
    const std::vector<std::string> texts = seeds();
    Mutator mutate;
    int taken = 0;
    for (int i = 0; i < 20'000; ++i) {
        const std::string text = mutate(texts[static_cast<std::size_t>(i) % texts.size()], texts);
        if (absurd_exponent(text)) continue;
        Rules rules;
        const bool right = json::sax_parse(text, &rules);
        const auto read = parse_object(text);
        ASSERT_EQ(read.has_value(), right) << text << "\n" << (read ? "" : read.error().message);
        if (!read) continue;
        ASSERT_TRUE(same(json::parse(text), *read)) << text << "\n" << read->dump();
        ++taken;
    }
    EXPECT_GT(taken, 2000);
}

}  // namespace
}  // namespace vitalwire::wire
