#include "bus/amqp_names.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace vitalwire::bus {
namespace {

using testing::Eq;
using testing::Optional;

const std::string kDigits = "0123456789abcdef0123456789abcdef";

runtime::AmqpMessage from(const std::string& user, const std::string& queue) {
    runtime::AmqpMessage message;
    message.user_id = user;
    message.reply_to = queue;
    return message;
}

TEST(AmqpNames, TellWhoseQueueItIs) {
    EXPECT_THAT(controller_of_queue(controller_queue_prefix("ctl-1") + kDigits), Optional(std::string("ctl-1")));
    EXPECT_THAT(controller_of_queue(controller_queue_prefix("a.b.example") + kDigits),
                Optional(std::string("a.b.example")));
}

TEST(AmqpNames, TakeNothingElseForAQueueOfOurs) {
    for (const std::string& queue :
         {std::string(), std::string("nova"), controller_queue_prefix("c"), controller_queue_prefix("") + kDigits,
          controller_queue_prefix("c") + kDigits.substr(1), controller_queue_prefix("c") + "G" + kDigits.substr(1),
          "vitalwire.controller." + kDigits, agent_queue_prefix("c") + kDigits,
          controller_queue_prefix("a b") + kDigits, controller_queue_prefix(std::string(300, 'x')) + kDigits})
        EXPECT_THAT(controller_of_queue(queue), Eq(std::nullopt)) << queue;
}

TEST(AmqpNames, KnowAnAgentByItsBrokerUserAndItsQueue) {
    EXPECT_THAT(agent_that_sent(from("compute-1", agent_queue_prefix("compute-1") + kDigits)),
                Optional(std::string("compute-1")));
}

TEST(AmqpNames, DoNotBelieveAnAgentThatIsNotTheBrokerUser) {
    const std::string queue = agent_queue_prefix("compute-1") + kDigits;
    EXPECT_THAT(agent_that_sent(from("compute-2", queue)), Eq(std::nullopt));
    EXPECT_THAT(agent_that_sent(from("", queue)), Eq(std::nullopt));
    EXPECT_THAT(agent_that_sent(from("compute", agent_queue_prefix("compute.1") + kDigits)), Eq(std::nullopt));
    EXPECT_THAT(agent_that_sent(from("compute-1", controller_queue_prefix("compute-1") + kDigits)), Eq(std::nullopt));
}

TEST(AmqpNames, KnowAnotherControllerByItsPresenceOnly) {
    runtime::AmqpMessage message = from("controllers", controller_queue_prefix("ctl-1") + kDigits);
    EXPECT_THAT(controller_that_sent(message, "controllers"), Eq(std::nullopt)) << "it is none";
    message.type = kPresence;
    EXPECT_THAT(controller_that_sent(message, "controllers"), Optional(std::string("ctl-1")));
    EXPECT_THAT(controller_that_sent(message, "other"), Eq(std::nullopt)) << "of another broker user";
}

}  // namespace
}  // namespace vitalwire::bus
