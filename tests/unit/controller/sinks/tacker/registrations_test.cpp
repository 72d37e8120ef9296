#include "controller/sinks/tacker/registrations.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "controller/sinks/tacker/networks.hpp"
#include "controller/sinks/tacker/registration_json.hpp"
#include "controller/sinks/tacker/targets.hpp"

namespace vitalwire::controller::tacker {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

constexpr base::WallTime kNow{std::chrono::seconds(1'700'000'000)};
const base::GuestId kServer("0f8fad5b-d9cb-469f-a165-70867728950e");

Registration registration(const std::string& id, const std::string& url = "http://tacker/1") {
    return {id, "tenant", kServer, url, {"1111", "1234"}, false, kNow, false};
}

class RegistrationsTest : public ::testing::Test {
protected:
    Registrations make() {
        return Registrations([this](const Registration& changed, bool gone) {
            log.push_back(changed.alarm_id + (gone ? " gone" : changed.removed ? " removed" : " added"));
        });
    }
    static std::vector<std::string> ids(const Registrations& registrations) {
        std::vector<std::string> out;
        for (const Registration* found : registrations.of_server(kServer))
            out.push_back(found->alarm_id);
        return out;
    }

    std::vector<std::string> log;
    Registrations here = make();
    Registrations there = make();
};

TEST_F(RegistrationsTest, OneIsThereUntilItIsRemoved) {
    EXPECT_EQ(here.add(registration("a")), "a");
    EXPECT_THAT(ids(here), ElementsAre("a"));
    EXPECT_TRUE(here.remove("a", "tenant", kServer, kNow));
    EXPECT_THAT(ids(here), IsEmpty());
    EXPECT_FALSE(here.remove("a", "tenant", kServer, kNow));
    EXPECT_THAT(log, ElementsAre("a added", "a removed"));
}

TEST_F(RegistrationsTest, WhoAsksAgainGetsTheSameId) {
    here.add(registration("a"));
    EXPECT_EQ(here.add(registration("b")), "a");
    EXPECT_EQ(here.add(registration("c", "http://tacker/2")), "c");
    here.remove("a", "tenant", kServer, kNow);
    EXPECT_EQ(here.add(registration("d")), "d") << "after it was removed it is another one";
}

TEST_F(RegistrationsTest, TwoControllersAgreeInWhateverOrderTheyReceive) {
    here.add(registration("a"));
    there.remove("a", "tenant", kServer, kNow);  // before it has received it
    there.add(registration("b", "http://tacker/2"));
    const auto exchange = [](const Registrations& from, Registrations& to) {
        const auto all = from.all();
        for (const auto& [id, known] : all)
            to.merge(known);
    };
    exchange(here, there);
    exchange(there, here);
    exchange(here, there);
    EXPECT_THAT(ids(here), ElementsAre("b"));
    EXPECT_THAT(ids(there), ElementsAre("b"));
}

TEST_F(RegistrationsTest, WhatIsReceivedAgainChangesNothing) {
    here.add(registration("a"));
    log.clear();
    here.merge(registration("a"));
    EXPECT_THAT(log, IsEmpty());
}

TEST_F(RegistrationsTest, WhatWasRemovedExpires) {
    here.add(registration("a"));
    here.add(registration("b", "http://tacker/2"));
    here.remove("a", "tenant", kServer, kNow);
    here.expire(kNow + kRemovedRemembered - base::Millis(1));
    EXPECT_EQ(here.all().size(), 2U);
    here.expire(kNow + kRemovedRemembered);
    EXPECT_EQ(here.all().size(), 1U);
    EXPECT_EQ(here.size(), 1U);
    EXPECT_EQ(log.back(), "a gone");
}

TEST_F(RegistrationsTest, RemovalsOfWhatIsUnknownKeepNobodyFromRegistering) {
    here.remove("first", "tenant", kServer, kNow - std::chrono::hours(1));
    for (std::size_t i = 0; i < kMaxRemoved; ++i)
        here.remove("x" + std::to_string(i), "tenant", kServer, kNow);
    EXPECT_EQ(here.all().size(), kMaxRemoved);
    EXPECT_EQ(here.find("first"), nullptr) << "the oldest is dropped";
    EXPECT_EQ(log.back(), "first gone");
    EXPECT_EQ(here.add(registration("a")), "a");
    EXPECT_EQ(here.size(), 1U);
}

TEST_F(RegistrationsTest, AServerHasAFewAtMost) {
    for (std::size_t i = 0; i < kMaxRegistrationsPerServer; ++i) {
        const std::string number = std::to_string(i);
        EXPECT_TRUE(here.add(registration("a" + number, "http://tacker/" + number)));
    }
    EXPECT_FALSE(here.add(registration("one-more", "http://tacker/one-more")));
    here.merge(registration("from-a-peer", "http://tacker/from-a-peer"));
    EXPECT_EQ(here.size(), kMaxRegistrationsPerServer);
}

boost::asio::ip::tcp::endpoint endpoint(const std::string& address, unsigned short port = 9890) {
    return {boost::asio::ip::make_address(address), port};
}

TEST(Targets, OnlyWhatOthersCanReachIsNotified) {
    const Targets targets{Networks()};
    for (const char* address : {"10.0.0.7", "192.0.2.7", "2001:db8::7", "fd00::7"})
        EXPECT_EQ(targets.why_not(endpoint(address), {}, false), "") << address;
    for (const char* address :
         {"127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1", "169.254.169.254", "::ffff:169.254.169.254", "fe80::1",
          "0.0.0.0", "0.1.2.3", "::", "224.0.0.1", "ff02::1", "255.255.255.255"})
        EXPECT_NE(targets.why_not(endpoint(address), {}, false), "") << address;
}

TEST(Targets, WhoIsOnThisMachineMayNameItsLoopbackButNothingElseOfTheLink) {
    const Targets targets{Networks()};
    EXPECT_EQ(targets.why_not(endpoint("127.0.0.1"), {}, true), "");
    EXPECT_NE(targets.why_not(endpoint("169.254.169.254"), {}, true), "");
}

TEST(Targets, TheControllerItselfIsNoTargetByAnyOfItsAddresses) {
    Networks all;
    ASSERT_TRUE(all.add("0.0.0.0/0"));
    ASSERT_TRUE(all.add("::/0"));
    const Targets targets{all};
    const std::vector<std::string> own = {"0.0.0.0:8990", "[::]:8993"};
    for (const char* address : {"127.0.0.1", "127.1.2.3", "::1", "::ffff:127.0.0.1", "0.0.0.0"}) {
        EXPECT_NE(targets.why_not(endpoint(address, 8990), own, true), "") << address;
        EXPECT_NE(targets.why_not(endpoint(address, 8993), own, true), "") << address;
        EXPECT_EQ(targets.why_not(endpoint(address, 8994), own, true), "") << address;
    }
    EXPECT_EQ(targets.why_not(endpoint("192.0.2.7", 8990), own, false), "") << "the port of another machine";
}

TEST(Targets, FindsTheAddressInAUrl) {
    EXPECT_EQ(authority_of("http://10.0.0.7:9890/a/b"), "10.0.0.7:9890");
    EXPECT_EQ(authority_of("https://tacker?x"), "tacker");
    EXPECT_EQ(address_in("http://10.0.0.7:9890/a")->to_string(), "10.0.0.7");
    EXPECT_EQ(address_in("https://[2001:db8::1]:9890/x")->to_string(), "2001:db8::1");
    EXPECT_FALSE(address_in("http://tacker:9890/"));
}

TEST(RegistrationJson, ReadsWhatItWrites) {
    Registration known = registration("11111111-1111-1111-1111-111111111111");
    EXPECT_EQ(registration_from(to_json(known)), known);
    known.removed = true;
    known.fault_action.clear();
    known.fault_ids.clear();
    EXPECT_EQ(registration_from(to_json(known)), known);
}

TEST(RegistrationJson, ReadsTackersRequest) {
    const auto read = read_request(R"({"fault_action":"http://tacker/x","fault_id":["1111","1234"],"more":1})");
    ASSERT_TRUE(read) << read.error().message;
    EXPECT_EQ(read->fault_action, "http://tacker/x");
    EXPECT_THAT(read->fault_ids, UnorderedElementsAre("1111", "1234"));
}

TEST(RegistrationJson, RefusesWhatIsNone) {
    for (const char* body :
         {"", "[]", "{}", R"({"fault_action":"http://t/"})", R"({"fault_id":["1111"]})",
          R"({"fault_action":"ftp://t/","fault_id":["1111"]})",
          R"({"fault_action":"http://user:pass@t/","fault_id":["1111"]})",
          R"({"fault_action":"http://t/ x","fault_id":["1111"]})", R"({"fault_action":"http://t/","fault_id":[]})",
          R"({"fault_action":"http://t/","fault_id":"1111"})", R"({"fault_action":"http://t/","fault_id":["11111"]})",
          R"({"fault_action":"http://t/","fault_id":[1111]})"})
        EXPECT_FALSE(read_request(body)) << body;
}

TEST(Networks, KnowWhoMay) {
    Networks networks;
    for (const char* text : {"10.1.0.0/16", "192.0.2.7", "2001:db8::/33"})
        EXPECT_TRUE(networks.add(text)) << text;
    for (const char* address : {"10.1.255.3", "192.0.2.7", "::ffff:10.1.2.3", "2001:db8:7fff::1", "unix"})
        EXPECT_TRUE(networks.contains(address)) << address;
    for (const char* address : {"10.2.0.1", "192.0.2.8", "2001:db8:8000::1", "", "unknown", "10.1.0"})
        EXPECT_FALSE(networks.contains(address)) << address;
}

TEST(Networks, RefuseWhatIsNoNetwork) {
    Networks networks;
    for (const char* text : {"", "10.0.0.0/33", "10.0.0.0/", "10.0.0.0/-1", "10.0.0.0/8x", "::/129", "example.net"})
        EXPECT_FALSE(networks.add(text)) << text;
    EXPECT_FALSE(networks.contains("10.0.0.1"));
    EXPECT_TRUE(networks.add("0.0.0.0/0"));
    EXPECT_TRUE(networks.contains("10.0.0.1"));
    EXPECT_FALSE(networks.contains("2001:db8::1"));
}

}  // namespace
}  // namespace vitalwire::controller::tacker
