#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/asio/io_context.hpp>

#include "bus/transport.hpp"
#include "runtime/amqp/amqp_session.hpp"

namespace vitalwire::bus {
namespace {

using runtime::AmqpBroker;
using testing::HasSubstr;

class AmqpTransport : public testing::Test {
protected:
    Access with(const std::vector<std::string>& urls) {
        access_.brokers = urls;
        return access_;
    }
    std::string finder_error(const std::vector<std::string>& urls) {
        const auto finder = make_controller_finder(io_, with(urls));
        return finder ? "" : finder.error().message;
    }
    std::string port_error(const std::vector<std::string>& urls) {
        const auto port = make_broker_port(io_, with(urls));
        return port ? "" : port.error().message;
    }

    boost::asio::io_context io_;
    Access access_{{}, {}, {"compute-1", "secret"}};
};

TEST(AmqpBrokerUrl, SaysWhereAndAsWhom) {
    const auto broker = AmqpBroker::parse("amqps://compute-1@rabbit.example:5673/cloud").value();
    EXPECT_EQ(broker.host, "rabbit.example");
    EXPECT_EQ(broker.port, 5673);
    EXPECT_EQ(broker.vhost, "cloud");
    EXPECT_EQ(broker.user, "compute-1");
    EXPECT_TRUE(broker.tls);
}

TEST(AmqpBrokerUrl, LeavesUserPortAndVhostOut) {
    const auto broker = AmqpBroker::parse("amqp://rabbit").value();
    EXPECT_EQ(broker.where(), "rabbit:5672");
    EXPECT_EQ(broker.vhost, "/");
    EXPECT_EQ(broker.user, "");
    EXPECT_EQ(AmqpBroker::parse("amqps://rabbit").value().where(), "rabbit:5671");
}

TEST(AmqpBrokerUrl, HoldsNoPasswordAndIsNoOtherUrl) {
    const auto error = AmqpBroker::parse("amqp://user:s3cr3t@rabbit/").error().message;
    EXPECT_THAT(error, HasSubstr("password_file"));
    EXPECT_THAT(error, testing::Not(HasSubstr("s3cr3t")));
    for (const char* url : {"", "amqp", "http://rabbit", "amqp://rabbit:port", "tcp://rabbit:1"})
        EXPECT_THAT(AmqpBroker::parse(url).error().message, HasSubstr("expected amqp://USER@HOST:PORT/VHOST")) << url;
}

TEST_F(AmqpTransport, IsMadeForOneUserOfOneCluster) {
    EXPECT_EQ(finder_error({"amqp://127.0.0.1", "amqp://compute-1@localhost:5673"}), "");
    EXPECT_EQ(port_error({"amqp://controllers@127.0.0.1", "amqp://controllers@localhost:5673"}), "");
    EXPECT_THAT(port_error({"amqp://a@127.0.0.1", "amqp://b@127.0.0.1"}), HasSubstr("one user"));
}

TEST_F(AmqpTransport, KnowsAnAgentByItsHostOnly) {
    EXPECT_THAT(finder_error({"amqp://compute-2@127.0.0.1"}),
                HasSubstr("an agent's broker user is its host's name, expected 'compute-1', found 'compute-2'"));
}

TEST_F(AmqpTransport, CarriesNothingInTheClearBeyondLoopbackUnlessToldSo) {
    EXPECT_THAT(port_error({"amqp://rabbit.example"}), HasSubstr("beyond loopback amqps:// is expected"));
    access_.allow_plain_tcp = true;
    EXPECT_EQ(port_error({"amqp://rabbit.example"}), "");
}

TEST_F(AmqpTransport, NeedsAPasswordOrACertificate) {
    access_.broker.password.clear();
    EXPECT_THAT(port_error({"amqp://127.0.0.1"}), HasSubstr("expected a password_file, or amqps:// and a certificate"));
    EXPECT_THAT(port_error({"amqps://rabbit"}), HasSubstr("expected a password_file, or amqps:// and a certificate"));
    access_.tls.certificate = "compute-1.pem";
    EXPECT_THAT(port_error({"amqps://rabbit"}), HasSubstr("certificate and key belong together"));
    access_.tls.key = "compute-1.key";
    EXPECT_EQ(port_error({"amqps://rabbit"}), "");
}

}  // namespace
}  // namespace vitalwire::bus
