#include "bus/amqp_mailbox.hpp"

#include <utility>

#include "base/log.hpp"
#include "bus/amqp_names.hpp"

namespace vitalwire::bus {

AmqpMailbox::AmqpMailbox(boost::asio::io_context& io, AmqpClient::Options options, Remake remake)
    : remake_(remake), client_(io, std::move(options)) {}

AmqpMailbox::~AmqpMailbox() {
    stop();
}

void AmqpMailbox::start(Taken taken) {
    taken_ = std::move(taken);
    client_.start(*this);
}

void AmqpMailbox::stop() {
    connection_.reset();
    client_.stop();
}

base::Result<void> AmqpMailbox::use(const Access& access) {
    auto options = remake_(access);
    if (!options) return tl::make_unexpected(options.error());
    client_.use(std::move(options->brokers), std::move(options->access));
    return {};
}

void AmqpMailbox::on_connected(const std::string&) {
    connection_ = std::make_shared<char>();
    problem_.clear();
}

void AmqpMailbox::on_lost(const std::string& why) {
    connection_.reset();
    problem_ = why;
}

void AmqpMailbox::on_event(const runtime::AmqpEvent& event) {
    const auto host = agent_that_sent(event.message);
    if (!host) return refuse(event, "its sender is not what it says");
    const auto message = decode_to_controller(event.message.body);
    if (!message) return refuse(event, message.error().message);
    const auto* faults = std::get_if<Faults>(&*message);
    if (faults == nullptr) return refuse(event, "it holds no faults");
    taken_(base::HostId(*host), *faults, [this, tag = event.tag, connection = std::weak_ptr(connection_)] {
        if (!connection.expired()) client_.acknowledge(tag);
    });
}

/// Nobody can do anything with it, now or later.
void AmqpMailbox::refuse(const runtime::AmqpEvent& event, const std::string& why) {
    client_.acknowledge(event.tag);
    if (++refused_ > 1) return;  // counted from now on
    log::warning("a message that was left for the controllers is refused",
                 {{"broker_user", event.message.user_id}, {"queue", event.message.reply_to}, {"why", why}});
}

}  // namespace vitalwire::bus
