#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "guest/channel.hpp"
#include "wire/line_framer.hpp"

namespace vitalwire::guest {

/// One address of the base layer: the heartbeat, the server group.
class Application {
public:
    virtual ~Application() = default;
    virtual void host_connected() = 0;
    virtual void host_disconnected() = 0;
    /// The `data` of a message to this application's address; any JSON object.
    virtual void receive(const nlohmann::json& data) = 0;
};

/// Cuts the channel's bytes into messages and hands each to the application it is addressed to. What is no message, or
/// is for nobody here, is dropped and counted: a guest answers nothing that it does not understand
/// (proto-spec/base-layer.md, section 6).
class BaseLayer : public Channel::Events {
public:
    struct Counters {
        std::uint64_t messages = 0;
        std::uint64_t malformed = 0;
        std::uint64_t unknown_address = 0;
    };

    BaseLayer();

    /// `application` is not owned.
    void add(std::string_view address, Application& application);
    const Counters& counters() const { return counters_; }

    void host_connected() override;
    void host_disconnected() override;
    void received(std::string_view bytes) override;

private:
    void handle(std::string_view line);
    void drop_malformed(const std::string& why);

    wire::LineFramer framer_;
    std::map<std::string, Application*, std::less<>> applications_;
    Counters counters_;
    bool told_malformed_ = false;  ///< once a connection: stale fragments are ordinary
};

}  // namespace vitalwire::guest
