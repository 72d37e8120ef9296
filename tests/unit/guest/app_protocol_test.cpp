// The vectors of the application's socket (proto-spec/vectors/application), as each side reads them.
#include "guest/app_protocol.hpp"

#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "wire/json_reader.hpp"

namespace vitalwire::guest::app {
namespace {

using nlohmann::json;

/// What a receiver took from a datagram, as the vectors write it: encoded again, with the defaults in place.
json fields_of(json message) {
    message.erase("version");
    if (message["type"] == "status" && !message.contains("total") && !message.contains("from")) message["from"] = 0;
    return message;
}

json read_as_daemon(const std::string& datagram) {
    const auto request = decode_request(datagram);
    if (request) return {{"result", "accepted"}, {"message", fields_of(json::parse(encode(*request)))}};
    json refused = {{"result", "refused"}, {"code", to_string(request.error().code)}};
    if (const auto id = origin_of(datagram).id) refused["id"] = *id;
    return refused;
}

json read_as_application(const std::string& datagram) {
    const auto event = decode_event(datagram);
    if (!event) return {{"result", "ignored"}};
    return {{"result", "accepted"}, {"message", fields_of(json::parse(encode(*event)))}};
}

TEST(AppProtocol, ReadsEveryVectorAsItsSpecificationHasIt) {
    std::ifstream in(VITALWIRE_SOURCE_DIR "/proto-spec/vectors/application/vectors.json");
    const json document = json::parse(in);
    std::size_t count = 0;
    for (const json& vector : document.at("vectors")) {
        SCOPED_TRACE(vector.at("id").get<std::string>() + ": " + vector.at("why").get<std::string>());
        const std::string datagram = vector.at("datagram");
        const bool is_daemon = vector.at("receiver") == "daemon";
        EXPECT_EQ(is_daemon ? read_as_daemon(datagram) : read_as_application(datagram), vector.at("expect"));
        ++count;
    }
    EXPECT_GT(count, 30U);
}

TEST(AppProtocol, AStatusOfManySmallItemsCanBeRead) {
    Status status;
    for (int i = 0; i < 2000; ++i)
        status.items.push_back({"report", "a", "healthy", "", {}, {}});
    const auto event = decode_event(encode(status));
    ASSERT_TRUE(event) << event.error().message;
    EXPECT_GT(std::get<Status>(*event).items.size(), 32U);
}

TEST(AppProtocol, AStatusOfAnySizeFitsADatagram) {
    Status status;
    for (int i = 0; i < 2000; ++i)
        status.items.push_back({"application", "name-" + std::to_string(i), "unhealthy", std::string(224, '"'), 1, 1});
    status.total = static_cast<std::int64_t>(status.items.size());
    const std::string datagram = encode(status);
    EXPECT_LE(datagram.size(), kMaxDatagram);
    const auto event = decode_event(datagram);
    ASSERT_TRUE(event);
    const auto& page = std::get<Status>(*event);
    EXPECT_GT(page.items.size(), 1U);
    EXPECT_EQ(page.total, 2000);
}

}  // namespace
}  // namespace vitalwire::guest::app
