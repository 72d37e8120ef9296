#include "cli/select.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace vitalwire::cli {
namespace {

using nlohmann::json;
using testing::HasSubstr;
using testing::SizeIs;

json guest(const std::string& id, const std::string& name, const std::string& host = "c1") {
    return {{"guest", id}, {"display_name", name}, {"host", host}, {"state", "lost"}, {"group", "g"}};
}

const json kDocument = {
    {"guests",
     {guest("a1", "web"), guest("a2", "web-1"), guest("b1", "a1"), guest("c", "twin"), guest("d", "twin", "c10")}}};

std::string selected(const std::string& wanted) {
    const auto found = select(kDocument, kGuests, wanted);
    return found ? (*found)["guest"].get<std::string>() : found.error().message;
}

TEST(Select, PrefersAnIdThenANameThenABeginning) {
    EXPECT_EQ(selected("a1"), "a1") << "and not the guest of that name";
    EXPECT_EQ(selected("web"), "a1") << "and not the one whose name begins so";
    EXPECT_EQ(selected("web-"), "a2");
    EXPECT_EQ(selected("b"), "b1");
}

TEST(Select, NamesTheCandidates) {
    EXPECT_EQ(selected("twin"), "guest 'twin' is ambiguous: c, d");
    EXPECT_EQ(selected("a"), "guest 'a' is ambiguous: a1, a2, b1");
    EXPECT_EQ(selected("\x1b"), "no guest '\\x1b'");
}

TEST(Select, TakesTheOperatorsNameBeforeWhatAGuestCallsItself) {
    const json document = {{"guests",
                            {{{"guest", "a"}, {"display_name", "web-1"}, {"name", "first"}},
                             {{"guest", "b"}, {"display_name", ""}, {"name", "web-1"}},
                             {{"guest", "c"}, {"display_name", ""}, {"name", "web"}}}}};
    EXPECT_EQ((*select(document, kGuests, "web-1"))["guest"], "a");
    EXPECT_EQ((*select(document, kGuests, "web"))["guest"], "a") << "the beginning of an operator's name";
    EXPECT_EQ((*select(document, kGuests, "first"))["guest"], "a");
}

TEST(Select, CountsWhatIsListedTwiceOnce) {
    const Kind hosts = {"host", "guests", "host", {}};
    EXPECT_EQ((*select({{"guests", {guest("a", "a"), guest("b", "b")}}}, hosts, "c"))["host"], "c1");
}

TEST(Select, FindsAFaultByItsGuest) {
    const json faults = {
        {"faults", {{{"id", "f1"}, {"guest", "a1"}, {"display_name", "web"}}, {{"id", "f2"}, {"guest", "b1"}}}}};
    EXPECT_EQ((*select(faults, kFaults, "web"))["id"], "f1");
    EXPECT_EQ((*select(faults, kFaults, "b1"))["id"], "f2");
}

TEST(Filters, KeepWhatMatchesAllOfThem) {
    const auto left = [](const Options& options) {
        json filtered = kDocument;
        apply_filters(filtered, options);
        return filtered["guests"].size();
    };
    Options options;
    EXPECT_EQ(left(options), 5U);
    options.host = "c1";
    EXPECT_EQ(left(options), 4U) << "not those of c10";
    options.host = "c1*";
    EXPECT_EQ(left(options), 5U);
    options.state = "held";
    EXPECT_EQ(left(options), 0U);
}

TEST(Filters, FindTheFaultsOfAGuestByIdOrName) {
    json document = {{"faults", {{{"guest", "id"}, {"guest_name", "web"}}, {{"guest", "other"}}}}};
    Options options;
    options.guest = "web";
    apply_filters(document, options);
    EXPECT_THAT(document["faults"], SizeIs(1));
}

TEST(Filters, AreNotOfAGuestThatCallsItselfAsAnother) {
    json document = {{"faults",
                      {{{"guest", "a"}, {"display_name", "web"}},
                       {{"guest", "b"}, {"display_name", "evil"}, {"guest_name", "web"}}}}};
    Options options;
    options.guest = "web";
    apply_filters(document, options);
    ASSERT_THAT(document["faults"], SizeIs(1));
    EXPECT_EQ(document["faults"][0]["guest"], "a");
}

TEST(Filters, KnowWhetherOneIsCalledSo) {
    EXPECT_TRUE(has_one(kDocument, kGuests, "web"));
    EXPECT_TRUE(has_one(kDocument, kGuests, "we*"));
    EXPECT_FALSE(has_one(kDocument, kGuests, "we"));
    EXPECT_FALSE(has_one(json::object(), kGuests, "web"));
}

}  // namespace
}  // namespace vitalwire::cli
